#pragma once

#include <string>
#include <string_view>

namespace m2b::config {

/// A value as an error message shows it: in quotes, control characters and broken UTF-8 escaped,
/// cut after about 100 bytes, and what a URL has before its host (`tcp://user:password@host`)
/// masked.
[[nodiscard]] std::string shown(std::string_view value);

/// Whether MQTT can carry it as a string: valid UTF-8 without NUL, at most 65,535 bytes (MQTT 5,
/// section 1.5.4).
[[nodiscard]] bool is_mqtt_string(std::string_view text) noexcept;

}  // namespace m2b::config
