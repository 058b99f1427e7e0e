#pragma once

#include <filesystem>
#include <memory>

#include "m2b/spool/spool.hpp"

namespace m2b {

/// Answers the tools (`mqtt-to-blob spool`, `mqtt-to-blob dead-letter`) beside the running daemon:
/// HTTP with JSON on a Unix socket in the spool's folder, which only its owner may use. Whoever
/// waits at it takes nothing from the pipeline but the disk.
class ControlServer {
 public:
  /// The spool outlives the server.
  ControlServer(std::filesystem::path directory, Spool& spool);
  ~ControlServer();
  ControlServer(const ControlServer&) = delete;
  ControlServer& operator=(const ControlServer&) = delete;

  /// A socket that cannot be made is an error in the log and is tried again.
  void start();
  /// Cuts what is open and joins the threads. Idempotent.
  void stop();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace m2b
