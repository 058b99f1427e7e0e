#pragma once

#include <cstdint>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "check/lane.hpp"
#include "m2b/mqtt/options.hpp"
#include "m2b/status/status_server.hpp"

namespace m2b::check {

/// The client identifier of the check: the configured one with `-check-` and the number behind it,
/// so that a running bridge keeps its connection (MQTT 5, section 3.1.4). Where that would be too
/// long, or none is configured, `mqtt-to-blob-check-` and the number.
[[nodiscard]] std::string check_client_id(const std::string& configured, std::uint32_t number);

/// What is subscribed to in place of a filter. A shared one is asked for in a group of the check's
/// own: as a member of the bridges' group the check would get messages that are theirs.
struct FilterTrial {
  std::string filter;  // to subscribe to
  std::string inner;   // the filter without its group; empty where it is not shared
};
[[nodiscard]] FilterTrial filter_trial(const std::string& filter, std::uint32_t number);

/// The names of the steps of check_broker().
[[nodiscard]] std::vector<std::string_view> broker_steps(const MqttOptions& options);

/// Name, TCP, TLS, login, subscriptions. Blocks until the lane ends.
void check_broker(Lane& lane, const MqttOptions& options, const StatusNames& names,
                  const std::stop_token& stop);

}  // namespace m2b::check
