#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "config/values.hpp"
#include "m2b/config/config.hpp"
#include "m2b/util/ascii.hpp"

/// How a setting's text gets into the Config: the pieces that the table in settings.cpp names.
namespace m2b::config {

/// As Setting::apply returns it: nothing, or what is wrong.
using Outcome = std::optional<std::string>;

/// The value goes into its field; without one, `allowed` says what is wrong.
template <class Value, class Field>
Outcome store(const std::optional<Value>& parsed, Field& field) {
  if (!parsed) {
    return "";
  }
  field = static_cast<Field>(*parsed);
  return std::nullopt;
}

template <class Value, class Field>
Outcome store(Parsed<Value> parsed, Field& field) {
  if (auto* fault = std::get_if<Fault>(&parsed)) {
    return std::move(fault->text);
  }
  field = std::get<Value>(std::move(parsed));
  return std::nullopt;
}

/// One of a few words, in any case.
template <class Value, std::size_t count>
std::optional<Value> parse_word(std::string_view text,
                                const std::pair<std::string_view, Value> (&words)[count]) {
  const std::string lower = ascii_lower(text);
  for (const auto& [word, value] : words) {
    if (lower == word) {
      return value;
    }
  }
  return std::nullopt;
}

/// Text that MQTT carries as a string.
[[nodiscard]] std::optional<std::string> parse_mqtt_text(std::string_view text);

[[nodiscard]] Outcome apply_broker_address(Config& config, std::string_view text);
[[nodiscard]] Outcome apply_store_address(Config& config, std::string_view text);
[[nodiscard]] Outcome apply_access_key(Config& config, std::string_view text);
[[nodiscard]] Outcome apply_secret_key(Config& config, std::string_view text);
[[nodiscard]] Outcome apply_session_token(Config& config, std::string_view text);
[[nodiscard]] Outcome apply_server_name(TlsOptions& tls, std::string_view text);
[[nodiscard]] Outcome apply_websocket_path(Config& config, std::string_view text);
[[nodiscard]] Outcome apply_bucket(Config& config, std::string_view text);
[[nodiscard]] Outcome apply_dead_letter_prefix(Config& config, std::string_view text);
[[nodiscard]] Outcome apply_password(Config& config, std::string_view text);
[[nodiscard]] Outcome apply_session_expiry(Config& config, std::string_view text);
[[nodiscard]] Outcome apply_region(Config& config, std::string_view text);
[[nodiscard]] Outcome apply_bandwidth_limit(Config& config, std::string_view text);
[[nodiscard]] Outcome apply_retry_max_delay(Config& config, std::string_view text);
[[nodiscard]] Outcome apply_spool_key(Config& config, std::string_view text);
[[nodiscard]] Outcome apply_status_address(Config& config, std::string_view text);
[[nodiscard]] Outcome apply_status_token(Config& config, std::string_view text);
[[nodiscard]] Outcome apply_status_thumbnails(Config& config, std::string_view text);

}  // namespace m2b::config
