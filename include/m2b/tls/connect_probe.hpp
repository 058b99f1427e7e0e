#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>

#include "m2b/tls/options.hpp"

namespace m2b {

/// Whom a probe calls.
struct ProbeTarget {
  std::string host;  // DNS name or IP address, IPv6 in brackets
  std::uint16_t port = 0;
  const TlsOptions* tls = nullptr;   // null: plain TCP
  std::string_view address_setting;  // the setting that holds the host, for messages
  std::string address = {};          // the one of the host's to call; empty: each in turn
};

/// Why a call does not succeed.
struct ConnectFault {
  std::string text = {};        // the cause, and what mends it
  bool needs_a_person = false;  // it will not go away by itself

  [[nodiscard]] static ConnectFault passing(std::string text) { return {std::move(text), false}; }
  [[nodiscard]] static ConnectFault lasting(std::string text) { return {std::move(text), true}; }
};

/// Calls once more whom a library could not reach, as far as TCP and TLS go, to find out why: the
/// libraries say less than a person needs. Nothing when the call succeeds, so that the cause lies
/// further up or is over. Blocks for at most `patience` and the name look-up, less when `stop` is
/// requested.
[[nodiscard]] std::optional<ConnectFault> find_connect_fault(const ProbeTarget& target,
                                                             std::chrono::milliseconds patience,
                                                             const std::stop_token& stop);

/// Whether what answers there speaks TLS, whoever it is: no certificate is verified, and nothing is
/// sent but a handshake. Blocks as find_connect_fault().
[[nodiscard]] bool speaks_tls(const ProbeTarget& target, std::chrono::milliseconds patience,
                              const std::stop_token& stop);

}  // namespace m2b
