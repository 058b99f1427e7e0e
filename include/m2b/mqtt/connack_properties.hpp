#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace m2b {

/// What a broker adds to a reason code in its own words (MQTT 5, sections 3.2.2.3.9, 3.2.2.3.16,
/// 3.9.2.1.2, 3.14.2.2.3 and 3.14.2.2.5). Bounded, and safe to show: see quote_broker().
struct BrokerStatement {
  std::string reason = {};            // Reason String; empty: none
  std::string server_reference = {};  // another server to use; empty: none

  [[nodiscard]] bool empty() const noexcept { return reason.empty() && server_reference.empty(); }
  /// `the broker says: ...; the broker names another server: ...`; empty if it says nothing.
  [[nodiscard]] std::string text() const;
  /// The meaning of a reason code, and the text.
  [[nodiscard]] std::string behind(std::string_view meaning) const;

  friend bool operator==(const BrokerStatement&, const BrokerStatement&) = default;
};

/// At most 256 bytes of the text, cut between two characters; what may not reach a terminal or a
/// log is escaped as visible() does.
[[nodiscard]] std::string quote_broker(std::string_view text);

/// The properties of a CONNACK that accepts the connection (MQTT 5, section 3.2.2.3); the defaults
/// are those that the standard gives to an absent property. On MQTT 3.1.1 there are none.
struct ConnackProperties {
  /// No MQTT limit is higher, so the default says that there is none but the protocol's.
  static constexpr std::uint32_t kNoLimit = 0xFFFFFFFF;
  /// As Session Expiry Interval (section 3.1.2.11.2).
  static constexpr std::chrono::seconds kNever{0xFFFFFFFF};

  std::optional<std::chrono::seconds> session_expiry = {};     // nothing: as asked
  std::optional<std::chrono::seconds> server_keep_alive = {};  // nothing: as asked; 0: none
  std::uint16_t receive_maximum = 65'535;        // QoS 1 and 2 messages that we may have under way
  std::uint8_t maximum_qos = 2;                  // of what we publish
  std::uint32_t maximum_packet_size = kNoLimit;  // of a packet that we send
  std::uint16_t topic_alias_maximum = 0;         // of what we publish
  bool retain_available = true;
  bool wildcard_subscriptions = true;
  bool subscription_identifiers = true;
  bool shared_subscriptions = true;
  std::string assigned_client_id = {};  // quoted as quote_broker(); empty: ours
  BrokerStatement statement = {};

  /// The interval within which the broker wants to hear from us: never longer than what we asked
  /// for, so that a dead connection is noticed in that time whatever the broker says.
  [[nodiscard]] std::chrono::seconds keep_alive(std::chrono::seconds asked) const noexcept;

  /// The reason code with which the broker would end the connection at a SUBSCRIBE for that filter
  /// alone: a wildcard or a shared subscription where it has announced to have none (sections
  /// 3.2.2.3.11 and 3.2.2.3.13), or a packet that is longer than it takes (3.2.2.3.6).
  [[nodiscard]] std::optional<int> refusal_of(std::string_view filter) const;

  friend bool operator==(const ConnackProperties&, const ConnackProperties&) = default;
};

}  // namespace m2b
