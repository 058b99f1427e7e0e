// config: any environment and any flags give a configuration or a list of mistakes, each one line,
// none of which shows a secret.
// Input: NAME=VALUE, with a NUL between them; a name that begins with '-' is a flag's.

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "fuzz/checks.hpp"
#include "m2b/config/config.hpp"

namespace {

using namespace m2b;
using fuzz::kCanary;
using fuzz::require;
using Texts = std::map<std::string, std::string>;

bool is_secret(const std::string& name) {
  return std::ranges::any_of(settings(), [&](const Setting& setting) {
    return setting.secret && (setting.name == name || setting.other_name == name);
  });
}

/// Settings that are good by themselves, so that those of the input are looked at.
Texts good_environment() {
  return {{"BROKER_URL", "b"},           {"TOPIC", "t"},
          {"MINIO_URL", "s:9000"},       {"MINIO_ACCESS_KEY", kCanary},
          {"MINIO_SECRET_KEY", kCanary}, {"BUCKET_NAME", "pictures"},
          {"MINIO_SECURE", "False"},     {"MQTT_TRANSPORT", "tcp"}};
}

void take(std::string_view given, Texts& environment, Texts& flags) {
  const std::size_t equals = given.find('=');
  if (equals == std::string_view::npos) return;
  const bool is_flag = given.starts_with('-');
  const std::string name(given.substr(is_flag ? 1 : 0, equals - (is_flag ? 1 : 0)));
  // Files of the machine are none of the input's business.
  if (name.ends_with(kSecretFileSuffix)) return;
  // With TLS the authorities of the system are read, which takes a hundred times as long as all
  // else.
  if (name == "MINIO_SECURE" || name == "MQTT_TRANSPORT") return;
  std::string value(given.substr(equals + 1));
  if (is_secret(name)) value.insert(0, kCanary);
  (is_flag ? flags : environment)[name] = std::move(value);
}

void check_mistakes(const std::vector<ConfigError>& mistakes) {
  require(!mistakes.empty(), "without a configuration there are mistakes");
  for (const ConfigError& mistake : mistakes) {
    require(fuzz::is_one_visible_line(mistake), "a mistake is one visible line");
    require(mistake.size() < 2000, "a mistake is short");
    require(mistake.find(kCanary) == std::string::npos, "no mistake shows a secret");
  }
}

/// What others build upon without asking again.
void check_config(const Config& config) {
  require(!config.mqtt.filters.empty(), "there is a filter");
  require(config.store.port != 0, "the store has a port");
  require(config.store.bucket.size() >= 3 && config.store.bucket.size() <= 63, "a bucket's name");
  require(fuzz::is_visible_ascii(config.store.host), "the store's host can be a header");
  require(fuzz::is_visible_ascii(config.store.credentials.access_key),
          "the access key can be a header");
  require(fuzz::is_visible_ascii(config.store.region), "the region can be a header");
  if (!config.pipeline.dead_letter_prefix.empty()) {
    fuzz::check_key(config.pipeline.dead_letter_prefix + "x.json");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view input(reinterpret_cast<const char*>(data), size);
  if (input.find(kCanary) != std::string_view::npos) return 0;  // not by way of a secret
  Texts environment = good_environment();
  Texts flags;
  while (!input.empty()) {
    const std::size_t end = std::min(input.find('\0'), input.size());
    take(input.substr(0, end), environment, flags);
    input.remove_prefix(std::min(end + 1, input.size()));
  }
  const auto variable = [&](const std::string& name) {
    const auto found = environment.find(name);
    return found != environment.end() ? std::optional(found->second) : std::nullopt;
  };
  const auto loaded = load_config(variable, flags);
  if (const auto* const mistakes = std::get_if<std::vector<ConfigError>>(&loaded)) {
    check_mistakes(*mistakes);
  } else {
    check_config(std::get<Config>(loaded));
  }
  static_cast<void>(load_status_options(variable, flags));
  return 0;
}
