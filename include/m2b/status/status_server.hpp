#pragma once

#include <memory>
#include <string>

#include "m2b/mqtt/receiver.hpp"
#include "m2b/pipeline/pipeline.hpp"
#include "m2b/spool/spool.hpp"
#include "m2b/status/options.hpp"
#include "m2b/upload/clock_offset.hpp"

namespace m2b {

/// What the status is read from; all of it outlives the server and is only read.
struct StatusSources {
  const Spool& spool;
  const Receiver& receiver;
  const Pipeline& pipeline;
  const ClockOffset* clock_offset = nullptr;
};

/// The HTTP listener: `/livez` (the process serves), `/readyz` (subscribed, the broker proven
/// alive, and the spool takes messages), `/metrics` (Prometheus text). An address that cannot be
/// had is an error in the log and is tried again: pictures matter more than the status.
class StatusServer {
 public:
  StatusServer(const StatusOptions& options, const StatusSources& sources);
  ~StatusServer();
  StatusServer(const StatusServer&) = delete;
  StatusServer& operator=(const StatusServer&) = delete;

  void start();
  /// Ends the listener and its threads, at once: open connections are cut. Idempotent.
  void stop();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

/// Asks the daemon that listens at `options` whether it lives; for container health checks. Empty
/// when it does, otherwise why not.
[[nodiscard]] std::string check_health(const StatusOptions& options);

}  // namespace m2b
