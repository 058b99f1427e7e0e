#pragma once

#include <string_view>

namespace m2b {

/// Of MQTT 5's reason codes (section 2.4). Those from the first failure on are refusals.
constexpr int kFirstFailure = 0x80;
constexpr int kMalformedPacket = 0x81;
constexpr int kPacketIdInUse = 0x91;

/// What a CONNACK code means: 1 to 5 are MQTT 3.1.1's return codes (section 3.2.2.3), from 0x80 on
/// MQTT 5's reason codes (section 2.4), which DISCONNECT and SUBACK use too; negative ones are
/// Paho's, when there was no answer.
[[nodiscard]] std::string_view describe_reason_code(int code) noexcept;

/// Whether only a person can mend it (credentials, authorisation, client id), so that it is an
/// error and not just a broker that is away.
[[nodiscard]] bool needs_a_person(int code) noexcept;

/// Whether the server has no room or no time for us, so that another one of the same name may.
[[nodiscard]] bool is_unavailable(int code) noexcept;

/// Whether the broker says that it does not know our MQTT version.
[[nodiscard]] bool is_unsupported_version(int code) noexcept;

/// Whether a broker that answers SUBSCRIBE with this code in DISCONNECT may mean just that. Others
/// are about the connection, the client or the broker.
[[nodiscard]] bool may_answer_subscribe(int code) noexcept;

}  // namespace m2b
