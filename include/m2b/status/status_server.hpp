#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "m2b/mqtt/receiver.hpp"
#include "m2b/pipeline/pipeline.hpp"
#include "m2b/spool/spool.hpp"
#include "m2b/status/last_pictures.hpp"
#include "m2b/status/options.hpp"
#include "m2b/tls/options.hpp"
#include "m2b/upload/clock_offset.hpp"
#include "m2b/util/pulse.hpp"

namespace m2b {

/// What things are called on the status page; from the configuration, without secrets.
struct StatusNames {
  std::string broker = {};  // host:port
  std::vector<std::string> topics = {};
  std::string store = {};  // host:port
  std::string bucket = {};
  std::string spool = {};             // the folder
  std::uint64_t bandwidth_limit = 0;  // bytes a second; 0: none
};

/// Options of the connections to a peer, and what that is called: `broker`, `store`.
struct NamedTls {
  const char* peer;
  const TlsOptions* options;
};

/// What the status is read from; all of it outlives the server. Only read, but for dead letters
/// that somebody with the token replays or drops.
struct StatusSources {
  Spool& spool;
  const Receiver& receiver;
  const Pipeline& pipeline;
  const ClockOffset* clock_offset = nullptr;
  const LastPictures* pictures = nullptr;  // none: they are not shown
  StatusNames names = {};
  std::vector<NamedTls> tls = {};
  std::vector<NamedPulse> pulses = {};  // of threads that answer `poke`
  std::function<void()> poke = {};      // empty: nobody is asked
};

class StatusMonitor;

/// The HTTP listener: `/livez` (the process serves), `/readyz` (nothing is in trouble), `/metrics`
/// (Prometheus text), the page at `/`, and what it shows as JSON at `/status` (docs/status.md). An
/// address that cannot be had is an error in the log and is tried again: pictures matter more than
/// the status.
class StatusServer {
 public:
  /// The monitor outlives it.
  StatusServer(const StatusOptions& options, const StatusMonitor& monitor);
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
