#include "bench/broker.hpp"

#include <pwd.h>
#include <unistd.h>

#include <fstream>

#include <fmt/format.h>

#include "bench/store.hpp"

namespace m2b::bench {
namespace {

/// mosquitto drops root's rights, unless it is told to keep them.
std::string user_name() {
  const passwd* const user = ::getpwuid(::getuid());  // NOLINT(concurrency-mt-unsafe): main alone
  return user != nullptr ? user->pw_name : "mosquitto";
}

}  // namespace

Broker::Broker(const std::string& named, const std::filesystem::path& folder,
               const std::stop_token& stop) {
  if (!named.empty()) {
    address_ = parse_address(named, "--broker");
    return;
  }
  const std::string program = find_program(
      "mosquitto", "install the package mosquitto, or name a running broker with --broker");
  address_ = {kLoopback, free_port()};
  const std::filesystem::path configuration = folder / "mosquitto.conf";
  // In flight: what the daemon asks for by itself with MQTT 5, and others with 3.1.1 cannot.
  std::ofstream(configuration) << fmt::format(
      "listener {} {}\nuser {}\nallow_anonymous true\npersistence false\nmax_queued_messages 0\n"
      "max_inflight_messages 256\nlog_dest stderr\nlog_type error\nlog_type warning\n",
      address_.port, address_.host, user_name());
  process_.emplace(
      Command{"mosquitto", {program, "-c", configuration.string()}, {}, folder / "mosquitto.log"});
  process_->wait_until([this] { return static_cast<bool>(connect_to(address_)); }, stop);
}

std::optional<CpuTime> Broker::cpu() const {
  if (!process_) return std::nullopt;
  return cpu_time(process_->pid());
}

}  // namespace m2b::bench
