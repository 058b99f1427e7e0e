#pragma once

#include <filesystem>
#include <optional>
#include <stop_token>
#include <string>

#include "bench/process.hpp"
#include "bench/sockets.hpp"
#include "bench/usage.hpp"

namespace m2b::bench {

/// A mosquitto of our own on the loopback with an endless queue in memory, or the one at `named`.
class Broker {
 public:
  Broker(const std::string& named, const std::filesystem::path& folder,
         const std::stop_token& stop);

  [[nodiscard]] const Address& address() const noexcept { return address_; }
  /// Nothing where the broker is not ours.
  [[nodiscard]] std::optional<CpuTime> cpu() const;

 private:
  Address address_;
  std::optional<Process> process_;
};

}  // namespace m2b::bench
