#pragma once

#include <memory>
#include <string>

#include "m2b/status/status_server.hpp"

namespace m2b {

struct StatusView;

/// Knows how everything is, from facts alone: keeps the history of the last hour and makes the
/// diagnosis that `/readyz`, `/status`, the page, `/metrics` and systemd's status line show. Also
/// wakes the threads in StatusSources, so that it sees one that is stuck. Thread-safe.
class StatusMonitor {
 public:
  explicit StatusMonitor(StatusSources sources);
  ~StatusMonitor();
  StatusMonitor(const StatusMonitor&) = delete;
  StatusMonitor& operator=(const StatusMonitor&) = delete;

  void start();
  /// Ends its thread, which waits for the disk at most. Idempotent.
  void stop();

  [[nodiscard]] const StatusSources& sources() const noexcept;

  /// As it is now; reads the disk.
  [[nodiscard]] StatusView view() const;

  /// The sentence of the diagnosis, a few seconds old and without control characters. Waits for
  /// nothing: where the disk keeps the monitor from reading, it says for how long.
  [[nodiscard]] std::string sentence() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace m2b
