#pragma once

#include <string>
#include <string_view>

#include "m2b/spool/message.hpp"
#include "m2b/spool/spool.hpp"

namespace m2b::test {

/// A message with topic and payload kept alive by the caller.
[[nodiscard]] inline MessageView message(std::string_view topic, std::string_view payload,
                                         std::uint8_t qos = 1) {
  return {.topic = topic, .payload = payload, .received_at = wall_now(), .qos = qos};
}

/// A productImage message whose picture is these bytes, given as base64.
[[nodiscard]] inline std::string image_json(std::string_view image_id, std::string_view base64) {
  return R"({"timestamp_ms":1,"image":{"image_id":")" + std::string(image_id) +
         R"(","image_bytes":")" + std::string(base64) +
         R"(","image_height":1,"image_width":2,"image_channels":3}})";
}

/// Of a record in the clear, as it stands in the spool.
[[nodiscard]] inline std::string payload_of(std::string raw) {
  const OpenedMessage opened = open_message(raw, {});
  return std::string(std::get<MessageView>(opened).payload);
}

/// Appends and waits until the message is on disk.
inline void append_durably(Spool& spool, std::string_view topic, std::string_view payload) {
  if (spool.append(message(topic, payload)).get() != Durability::durable) {
    throw std::runtime_error("the spool was closed");
  }
}

}  // namespace m2b::test
