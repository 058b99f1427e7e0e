#include "mqtt/reason_codes.hpp"

#include <algorithm>
#include <array>

namespace m2b {
namespace {

struct ReasonCode {
  int code;
  std::string_view meaning;
  bool needs_a_person;
};

constexpr int kUnsupportedVersion311 = 0x01;
constexpr int kUnsupportedVersion5 = 0x84;

constexpr std::array kReasonCodes{
    ReasonCode{0x00, "success", false},
    // MQTT 3.1.1
    ReasonCode{kUnsupportedVersion311, "incorrect protocol version", true},
    ReasonCode{0x02, "invalid client identifier", true},
    ReasonCode{0x03, "server unavailable", false},
    ReasonCode{0x04, "bad username or password", true},
    ReasonCode{0x05, "not authorised", true},
    // MQTT 5
    ReasonCode{kFirstFailure, "unspecified error", false},
    ReasonCode{kMalformedPacket, "malformed packet", false},
    ReasonCode{0x82, "protocol error", false},
    ReasonCode{0x83, "implementation specific error", false},
    ReasonCode{kUnsupportedVersion5, "unsupported protocol version", true},
    ReasonCode{0x85, "client identifier not valid", true},
    ReasonCode{0x86, "bad username or password", true},
    ReasonCode{0x87, "not authorised", true},
    ReasonCode{0x88, "server unavailable", false},
    ReasonCode{0x89, "server busy", false},
    ReasonCode{0x8A, "banned", true},
    ReasonCode{0x8B, "server shutting down", false},
    ReasonCode{0x8C, "bad authentication method", true},
    ReasonCode{0x8D, "keep alive timeout", false},
    ReasonCode{0x8E, "session taken over: another client uses our client id", true},
    ReasonCode{0x8F, "topic filter invalid", true},
    ReasonCode{0x90, "topic name invalid", true},
    ReasonCode{kPacketIdInUse, "packet identifier in use", false},
    ReasonCode{0x92, "packet identifier not found", false},
    ReasonCode{0x93, "receive maximum exceeded", false},
    ReasonCode{0x94, "topic alias invalid", false},
    ReasonCode{0x95, "packet too large", false},
    ReasonCode{0x96, "message rate too high", false},
    ReasonCode{0x97, "quota exceeded", false},
    ReasonCode{0x98, "administrative action", true},
    ReasonCode{0x99, "payload format invalid", false},
    ReasonCode{0x9A, "retain not supported", false},
    ReasonCode{0x9B, "QoS not supported", true},
    ReasonCode{0x9C, "use another server", true},
    ReasonCode{0x9D, "server moved", true},
    ReasonCode{0x9E, "shared subscriptions not supported", true},
    ReasonCode{0x9F, "connection rate exceeded", false},
    ReasonCode{0xA0, "maximum connect time", false},
    ReasonCode{0xA1, "subscription identifiers not supported", false},
    ReasonCode{0xA2, "wildcard subscriptions not supported", true},
};

const ReasonCode* find(int code) noexcept {
  const auto* const found =
      std::find_if(kReasonCodes.begin(), kReasonCodes.end(),
                   [code](const ReasonCode& row) { return row.code == code; });
  return found == kReasonCodes.end() ? nullptr : found;
}

}  // namespace

std::string_view describe_reason_code(int code) noexcept {
  if (code < 0) {
    return "no answer from the broker";
  }
  const ReasonCode* const row = find(code);
  return row != nullptr ? row->meaning : "unused code";
}

bool needs_a_person(int code) noexcept {
  const ReasonCode* const row = find(code);
  return row != nullptr && row->needs_a_person;
}

bool is_unavailable(int code) noexcept {
  constexpr std::array kCodes{0x03, 0x88, 0x89, 0x8B, 0x97, 0x9C, 0x9D, 0x9F};
  return std::ranges::find(kCodes, code) != kCodes.end();
}

bool is_unsupported_version(int code) noexcept {
  return code == kUnsupportedVersion311 || code == kUnsupportedVersion5;
}

bool may_answer_subscribe(int code) noexcept {
  constexpr std::array kCodes{kFirstFailure,
                              kMalformedPacket,
                              0x82,
                              0x83,
                              0x87,
                              0x8F,
                              kPacketIdInUse,
                              0x95,
                              0x97,
                              0x9B,
                              0x9E,
                              0xA1,
                              0xA2};
  return std::ranges::find(kCodes, code) != kCodes.end();
}

}  // namespace m2b
