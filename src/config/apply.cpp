#include "config/apply.hpp"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <limits>

#include "config/address.hpp"
#include "config/bucket_name.hpp"
#include "config/text.hpp"
#include "m2b/object/object_key.hpp"
#include "m2b/util/ascii.hpp"

namespace m2b::config {
namespace {

using namespace std::chrono_literals;

constexpr std::chrono::seconds kNeverExpires{0xFFFF'FFFF};  // MQTT 5, section 3.1.2.11.2

}  // namespace

std::optional<std::string> parse_mqtt_text(std::string_view text) {
  return is_mqtt_string(text) ? std::optional<std::string>(text) : std::nullopt;
}

Outcome apply_broker_address(Config& config, std::string_view text) {
  auto parsed = parse_broker_address(text);
  if (auto* fault = std::get_if<Fault>(&parsed)) {
    return std::move(fault->text);
  }
  config.mqtt.host = std::get<BrokerAddress>(std::move(parsed)).host;
  return std::nullopt;
}

Outcome apply_store_address(Config& config, std::string_view text) {
  auto parsed = parse_store_address(text);
  if (auto* fault = std::get_if<Fault>(&parsed)) {
    return std::move(fault->text);
  }
  auto& endpoint = std::get<StoreAddress>(parsed).endpoint;
  config.store.host = std::move(endpoint.host.text);
  config.store.port = endpoint.port.value_or(0);  // load_config then sets it by MINIO_SECURE
  return std::nullopt;
}

Outcome apply_access_key(Config& config, std::string_view text) {
  if (!is_access_key(text)) {
    return "";
  }
  config.store.credentials.access_key = text;
  return std::nullopt;
}

Outcome apply_spool_key(Config& config, std::string_view text) {
  auto parsed = KeyRing::parse(text);
  if (auto* const fault = std::get_if<std::string>(&parsed)) {
    return std::move(*fault);
  }
  config.spool.keys = std::get<KeyRing>(std::move(parsed));
  return std::nullopt;
}

Outcome apply_secret_key(Config& config, std::string_view text) {
  if (!is_secret_key(text)) {
    return "";
  }
  config.store.credentials.secret_key = Secret(std::string(text));
  return std::nullopt;
}

Outcome apply_session_token(Config& config, std::string_view text) {
  if (!is_access_key(text)) {  // it goes into a header likewise
    return "";
  }
  config.store.credentials.session_token = Secret(std::string(text));
  return std::nullopt;
}

Outcome apply_server_name(TlsOptions& tls, std::string_view text) {
  const auto host = parse_host(text);
  if (!host) {
    return "";
  }
  tls.server_name = host->text;
  return std::nullopt;
}

Outcome apply_websocket_path(Config& config, std::string_view text) {
  if (!is_websocket_path(text)) {
    return "";
  }
  config.mqtt.websocket_path = text;
  return std::nullopt;
}

Outcome apply_bucket(Config& config, std::string_view text) {
  if (auto fault = bucket_name_fault(text)) {
    return fault;
  }
  config.store.bucket = text;
  return std::nullopt;
}

Outcome apply_dead_letter_prefix(Config& config, std::string_view text) {
  constexpr std::size_t kMaxBytes = 512;
  if (text.size() > kMaxBytes) {
    return "";
  }
  const auto example = ObjectKey::from_parts(text, "x.json");
  if (const auto* const fault = std::get_if<std::string>(&example)) {
    return "must be " + std::string("the beginning of an object key: ") + *fault;
  }
  config.pipeline.dead_letter_prefix = text;
  return std::nullopt;
}

Outcome apply_password(Config& config, std::string_view text) {
  if (!is_mqtt_password(text)) {
    return "";
  }
  config.mqtt.password = Secret(std::string(text));
  return std::nullopt;
}

Outcome apply_session_expiry(Config& config, std::string_view text) {
  if (ascii_lower(text) == "never") {
    config.mqtt.session_expiry = kNeverExpires;
    return std::nullopt;
  }
  return store(parse_seconds(text, 1s, kNeverExpires - 1s), config.mqtt.session_expiry);
}

Outcome apply_region(Config& config, std::string_view text) {
  constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
  constexpr std::string_view kRest = "0123456789-_";
  const bool allowed = !text.empty() && kLetters.find(text.front()) != std::string_view::npos &&
                       std::all_of(text.begin(), text.end(), [&](char byte) {
                         return kLetters.find(byte) != std::string_view::npos ||
                                kRest.find(byte) != std::string_view::npos;
                       });
  if (!allowed) {
    return "";
  }
  config.store.region = text;
  return std::nullopt;
}

/// With less than some bytes a second for each of the most uploaders, a store would take their
/// connections for dead.
Outcome apply_bandwidth_limit(Config& config, std::string_view text) {
  constexpr std::uint64_t kLeast = 1024;
  const auto limit = parse_size(text, 0, std::numeric_limits<std::uint64_t>::max());
  if (limit && *limit != 0 && *limit < kLeast) {
    return "";
  }
  return store(limit, config.store.bandwidth_limit);
}

Outcome apply_retry_max_delay(Config& config, std::string_view text) {
  const auto delay = parse_duration(text, 100ms, 1h);
  if (delay) {
    config.mqtt.backoff.cap = *delay;
  }
  return store(delay, config.pipeline.backoff.cap);
}

Outcome apply_status_address(Config& config, std::string_view text) {
  if (ascii_lower(text) == "off") {
    config.status.enabled = false;
    return std::nullopt;
  }
  auto parsed = parse_listen_address(text);
  if (auto* fault = std::get_if<Fault>(&parsed)) {
    return std::move(fault->text);
  }
  auto& endpoint = std::get<Endpoint>(parsed);
  config.status.enabled = true;
  config.status.host = std::move(endpoint.host.text);
  config.status.port = endpoint.port.value();
  return std::nullopt;
}

Outcome apply_status_token(Config& config, std::string_view text) {
  if (!is_status_token(text)) {
    return "";
  }
  config.status.token = Secret(std::string(text));
  return std::nullopt;
}

Outcome apply_status_thumbnails(Config& config, std::string_view text) {
  if (ascii_lower(text) == "auto") {
    config.status.thumbnails = Thumbnails::automatic;
    return std::nullopt;
  }
  const auto wanted = parse_bool(text);
  if (!wanted) {
    return "";
  }
  config.status.thumbnails = *wanted ? Thumbnails::on : Thumbnails::off;
  return std::nullopt;
}

}  // namespace m2b::config
