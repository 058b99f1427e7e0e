#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "m2b/util/pulse.hpp"

namespace m2b {

/// How the service manager that started us wants to hear of us, as it says in the environment
/// (sd_notify(3), sd_watchdog_enabled(3)).
struct ServiceOptions {
  std::string socket;  // of datagrams; `@…` is an abstract one; empty: it does not
  std::chrono::microseconds watchdog{0};  // it restarts us after so long without a sign; 0: never
};

/// From NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID.
[[nodiscard]] ServiceOptions read_service_options(
    const std::function<std::optional<std::string>(const std::string& name)>& environment);

/// What is reported; called by the thread of the reporter.
struct ServiceSources {
  std::function<std::string()> status;  // one line for `systemctl status`
  std::function<void()> poke;           // makes each of the threads below go round
  std::vector<NamedPulse> pulses;       // outlive the reporter
};

/// Tells the service manager when we are ready, how we are, and, for its watchdog, that the threads
/// of the pipeline are alive: each is woken four times in the watchdog's time or more, and no sign
/// is given once one of them has not gone round for half of it. Without a service manager it does
/// nothing.
class ServiceReporter {
 public:
  ServiceReporter(ServiceOptions options, ServiceSources sources);
  ~ServiceReporter();
  ServiceReporter(const ServiceReporter&) = delete;
  ServiceReporter& operator=(const ServiceReporter&) = delete;

  /// We are started; from now on the watchdog is answered, until the end of the reporter.
  void ready();
  /// We are about to end.
  void stopping();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace m2b
