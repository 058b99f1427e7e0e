#include "m2b/config/config.hpp"

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <utility>

#include "config/address.hpp"
#include "config/text.hpp"
#include "m2b/tls/tls_material.hpp"
#include "m2b/upload/credentials.hpp"
#include "m2b/util/ascii.hpp"
#include "m2b/util/secret_file.hpp"
#include "m2b/util/typed_text.hpp"

namespace m2b {
namespace {

/// A value that somebody gave, and how a message names it.
struct Given {
  std::string text;
  std::string label;      // e.g. `BROKER_PORT="70000"`
  std::string file = {};  // that a secret came from
};

std::string file_name_of(std::string_view name) {
  return std::string(name) + std::string(kSecretFileSuffix);
}

std::uint16_t default_port(MqttTransport transport) {
  switch (transport) {
    case MqttTransport::tcp:
      return 1883;
    case MqttTransport::tls:
      return 8883;
    case MqttTransport::websocket:
      return 80;
    case MqttTransport::secure_websocket:
      break;
  }
  return 443;
}

std::optional<std::string> control_character_fault(std::string_view text) {
  const std::string found = control_character_in(text);
  if (found.empty()) {
    return std::nullopt;
  }
  return "must not have a control character, but has " + found +
         (found.starts_with("a carriage return")
              ? ": convert a file with Windows line ends (dos2unix)"
          : found.starts_with("a line feed") ? ": leave it out (echo -n, in YAML |- in place of |)"
                                             : ": remove it");
}

/// `secret` may be given by a file with what is refused here; empty: it is none.
std::optional<std::string> odd_end_fault(std::string_view text, std::string_view secret) {
  const std::string found = odd_end_of(text);
  if (found.empty()) {
    return std::nullopt;
  }
  const bool quotes = is_in_quotes(text);
  std::string fault = "must not have " + found +
                      (quotes ? ", which docker --env-file and lists in YAML keep as a part of the "
                                "value: remove them"
                              : ", which would be a part of the value: remove it");
  if (!secret.empty()) {
    fault += std::string(", or, where ") + (quotes ? "they belong" : "it belongs") +
             " to the secret, give it by " + file_name_of(secret);
  }
  return fault;
}

const char* setting_of(TlsFault::Part part) {
  switch (part) {
    case TlsFault::Part::ca_file:
      return "_CA_FILE";
    case TlsFault::Part::certificate_file:
      return "_CERT_FILE";
    case TlsFault::Part::key_file:
      break;
  }
  return "_KEY_FILE";
}

class Loader {
 public:
  Loader(const Environment& environment, const std::map<std::string, std::string>& flags)
      : environment_(environment), flags_(flags) {}

  std::variant<Config, std::vector<ConfigError>> load() && {
    refuse_unknown_flags();
    for (const auto& setting : settings()) {
      load_setting(setting);
    }
    take_rest_of_addresses();
    if (config_.store.port == 0) {
      config_.store.port = config_.store.secure ? 443 : 80;
    }
    if (config_.mqtt.port == 0) {
      config_.mqtt.port = default_port(config_.mqtt.transport);
    }
    check_together();
    read_shared_credentials();
    check_tls(config_.mqtt.tls, is_secure(config_.mqtt.transport), "MQTT_TRANSPORT=tls or wss");
    check_tls(config_.store.tls, config_.store.secure, "MINIO_SECURE=True");
    return result();
  }

  std::variant<Config, std::vector<ConfigError>> load_only(
      std::initializer_list<std::string_view> names) && {
    for (const std::string_view name : names) {
      const auto setting = std::ranges::find(settings(), name, &Setting::name);
      assert(setting != settings().end());
      load_setting(*setting);
    }
    return result();
  }

 private:
  enum class Layer { flags, environment };

  std::variant<Config, std::vector<ConfigError>> result() {
    if (!errors_.empty()) {
      return std::move(errors_);
    }
    return std::move(config_);
  }

  void refuse_unknown_flags() {
    for (const auto& [name, value] : flags_) {
      const bool known = std::ranges::any_of(settings(), [&name = name](const Setting& setting) {
        return name == setting.name || (setting.secret && name == file_name_of(setting.name));
      });
      if (!known) {
        errors_.push_back(config::shown(name) + " is not a setting");
      }
    }
  }

  void load_setting(const Setting& setting) {
    const std::size_t errors_before = errors_.size();
    auto given = find(setting);
    if (!given) {
      const bool reported = errors_.size() > errors_before;
      if (setting.required && !reported && !is_given(setting.unless)) {
        errors_.push_back(std::string(setting.name) + " is not set" +
                          (setting.secret ? ", nor is " + file_name_of(setting.name) : "") +
                          ": must be " + std::string(setting.allowed));
      }
      return;
    }
    auto fault = text_fault(setting, *given);
    if (!fault) {
      fault = setting.apply(config_, given->text);
    }
    const std::string label = given->label + (given->file.empty() ? ": " : ": what it holds ");
    if (fault) {
      errors_.push_back(label +
                        (fault->empty() ? "must be " + std::string(setting.allowed) : *fault));
      return;
    }
    if (setting.secret) {
      warn_of_odd_end(label, given->text);
    }
    if (setting.keep_file && !given->file.empty()) {
      setting.keep_file(config_, given->file);
    }
    if (!setting.secret) {
      taken_.emplace(setting.name, *given);
    }
  }

  /// The rule for the text of every setting (load_config). Removes the blanks that no value has.
  static std::optional<std::string> text_fault(const Setting& setting, Given& given) {
    if (!setting.any_text) {
      given.text = std::string(trimmed(given.text));
    }
    if (!setting.several_lines) {
      if (auto fault = control_character_fault(given.text)) {
        return fault;
      }
    }
    const bool may_be_odd = setting.secret && (setting.original || !given.file.empty());
    return may_be_odd ? std::nullopt
                      : odd_end_fault(given.text, setting.secret ? setting.name : "");
  }

  void warn_of_odd_end(const std::string& label, std::string_view secret) {
    const std::string odd = odd_end_of(secret);
    if (!odd.empty()) {
      config_.warnings.push_back(
          label + "is taken with " + odd + ", as a part of the secret: remove " +
          (is_in_quotes(secret) ? "them unless they belong there" : "it unless it belongs there"));
    }
  }

  /// Flags hide the environment, whichever of the two forms of a secret they have.
  std::optional<Given> find(const Setting& setting) {
    for (const Layer layer : {Layer::flags, Layer::environment}) {
      if (const std::string name(setting.name); is_given(layer, name, setting)) {
        return take(layer, name, setting);
      }
    }
    const std::string other(setting.other_name);
    if (!other.empty() && !is_given("MINIO_ACCESS_KEY") &&
        is_given(Layer::environment, other, setting)) {
      return take(Layer::environment, other, setting);
    }
    return std::nullopt;
  }

  [[nodiscard]] bool is_given(Layer layer, const std::string& name, const Setting& setting) const {
    return look_up(layer, name, setting.empty_is_a_value) ||
           (setting.secret && look_up(layer, file_name_of(name), false));
  }

  /// Under its own name, in whatever way.
  [[nodiscard]] bool is_given(std::string_view name) const {
    const auto setting = std::ranges::find(settings(), name, &Setting::name);
    return setting != settings().end() &&
           (is_given(Layer::flags, std::string(name), *setting) ||
            is_given(Layer::environment, std::string(name), *setting));
  }

  std::optional<Given> take(Layer layer, const std::string& name, const Setting& setting) {
    auto text = look_up(layer, name, setting.empty_is_a_value);
    auto path = setting.secret ? look_up(layer, file_name_of(name), false) : std::nullopt;
    if (text && path) {
      errors_.push_back(name + " and " + file_name_of(name) + " are both set: set one of them");
      return std::nullopt;
    }
    if (path) {
      return read_file(label(layer, file_name_of(name), config::shown(*path)), *path);
    }
    auto named = label(layer, name, setting.secret ? "***" : config::shown(*text));
    return Given{*std::move(text), std::move(named)};
  }

  std::optional<std::string> look_up(Layer layer, const std::string& name,
                                     bool empty_counts) const {
    std::optional<std::string> value;
    if (layer == Layer::environment) {
      value = environment_(name);
    } else if (const auto flag = flags_.find(name); flag != flags_.end()) {
      value = flag->second;
    }
    return value && (empty_counts || !value->empty()) ? value : std::nullopt;
  }

  static std::string label(Layer layer, const std::string& name, const std::string& value) {
    return name + "=" + value + (layer == Layer::flags ? " (" + flag_of(name) + ")" : "");
  }

  std::optional<Given> read_file(const std::string& named, const std::string& path) {
    auto path_fault = control_character_fault(path);
    if (!path_fault) {
      path_fault = odd_end_fault(path, "");
    }
    if (path_fault) {
      errors_.push_back(named + ": " + *path_fault);
      return std::nullopt;
    }
    const auto content = read_secret_file(path);
    if (const auto* fault = std::get_if<SecretFileFault>(&content)) {
      errors_.push_back(named + ": " + fault->text);
      return std::nullopt;
    }
    return Given{std::get<Secret>(content).reveal(), named, path};
  }

  /// What URLs say beyond the host.
  void take_rest_of_addresses() {
    if (const auto broker = taken_.find("BROKER_URL"); broker != taken_.end()) {
      const auto parsed = config::parse_broker_address(broker->second.text);
      const auto& address = std::get<config::BrokerAddress>(parsed);
      take_from_url(
          broker->second, "MQTT_TRANSPORT", address.transport, config_.mqtt.transport,
          [](MqttTransport transport) { return std::string(config::name_of(transport)); });
      take_from_url(broker->second, "BROKER_PORT", address.port, config_.mqtt.port,
                    [](std::uint16_t port) { return std::to_string(port); });
      take_from_url(broker->second, "MQTT_WEBSOCKET_PATH", address.path,
                    config_.mqtt.websocket_path, [](const std::string& path) { return path; });
    }
    if (const auto store = taken_.find("MINIO_URL"); store != taken_.end()) {
      const auto parsed = config::parse_store_address(store->second.text);
      take_from_url(store->second, "MINIO_SECURE", std::get<config::StoreAddress>(parsed).secure,
                    config_.store.secure, [](bool secure) { return secure ? "True" : "False"; });
    }
  }

  /// Into the field of `setting`, which may say the same, but nothing else.
  template <class Value, class ToText>
  void take_from_url(const Given& url, std::string_view setting, const std::optional<Value>& value,
                     Value& field, ToText to_text) {
    if (!value) {
      return;
    }
    const auto given = taken_.find(setting);
    if (given != taken_.end() && field != *value) {
      errors_.push_back(url.label + " and " + given->second.label +
                        " contradict each other: the first means " + std::string(setting) + "=" +
                        to_text(*value) + ": remove one of them");
      return;
    }
    field = *value;
  }

  /// Settings that are right alone and wrong together.
  void check_together() {
    if (config_.mqtt.username.empty() && !config_.mqtt.password.empty()) {
      errors_.push_back(
          "MQTT_PASSWORD=***: needs MQTT_USERNAME, which is empty: MQTT 3.1.1 has no password "
          "without a user name (section 3.1.2.9)");
    }
    if (!config_.mqtt.tls.server_name.empty() && !can_verify_another_name()) {
      errors_.push_back("MQTT_SERVER_NAME=" + config::shown(config_.mqtt.tls.server_name) +
                        ": this program was built without Paho's static library and can verify no "
                        "other name than "
                        "BROKER_URL");
    }
    if (config_.status.thumbnails == Thumbnails::on && config_.status.token.empty() &&
        !is_loopback(config_.status)) {
      errors_.push_back(
          "STATUS_THUMBNAILS=\"True\": needs STATUS_TOKEN where STATUS_ADDRESS is not on the "
          "loopback: pictures are not for everybody who reaches it");
    }
    if (config_.mqtt.qos == 2 && config_.mqtt.version == MqttVersion::v3_1_1) {
      errors_.push_back(
          "MQTT_QOS=\"2\": must not be 2 with MQTT_VERSION=3.1.1, where the client library "
          "acknowledges such a message before it is on disk: write MQTT_QOS=1 or MQTT_VERSION=5");
    }
  }

  void read_shared_credentials() {
    StoreOptions& store = config_.store;
    if (store.credential_files.shared.empty()) {
      return;
    }
    if (!store.credentials.access_key.empty() || !store.credentials.secret_key.empty()) {
      errors_.push_back(
          "AWS_SHARED_CREDENTIALS_FILE and a key of the store (MINIO_ACCESS_KEY, MINIO_SECRET_KEY "
          "or "
          "their AWS names) are both set: set one of them");
      return;
    }
    auto read = read_credentials(store.credentials, store.credential_files);
    if (auto* const fault = std::get_if<std::string>(&read)) {
      errors_.push_back("AWS_SHARED_CREDENTIALS_FILE=" + *fault);
      return;
    }
    store.credentials = std::get<Credentials>(std::move(read));
    const std::string label =
        "AWS_SHARED_CREDENTIALS_FILE=" + config::shown(store.credential_files.shared) + ": its ";
    warn_of_odd_end(label + "aws_access_key_id ", store.credentials.access_key);
    warn_of_odd_end(label + "aws_secret_access_key ", store.credentials.secret_key.reveal());
    warn_of_odd_end(label + "aws_session_token ", store.credentials.session_token.reveal());
  }

  /// `remedy` is the setting that makes the connection one of TLS.
  void check_tls(const TlsOptions& tls, bool is_used, std::string_view remedy) {
    const std::string prefix(tls.settings);
    const std::pair<const char*, const std::string&> texts[] = {
        {"_CA_FILE", tls.ca_file},
        {"_CERT_FILE", tls.certificate_file},
        {"_KEY_FILE", tls.key_file},
        {"_SERVER_NAME", tls.server_name},
    };
    const std::size_t errors_before = errors_.size();
    for (const auto& [name, value] : texts) {
      if (!is_used && !value.empty()) {
        errors_.push_back(prefix + name + "=" + config::shown(value) +
                          ": has no effect without TLS: write " + std::string(remedy) +
                          ", or take it away");
      }
    }
    if (tls.certificate_file.empty() != tls.key_file.empty()) {
      errors_.push_back(prefix + "_CERT_FILE and " + prefix +
                        "_KEY_FILE belong together: set both or none");
    }
    if (!is_used || errors_.size() > errors_before) {
      return;
    }
    if (const auto fault = check_tls_files(tls)) {
      errors_.push_back(prefix + setting_of(fault->part) + "=" +
                        config::shown(file_of(tls, fault->part)) + ": " + fault->text);
    }
  }

  const Environment& environment_;
  const std::map<std::string, std::string>& flags_;
  Config config_;
  std::map<std::string_view, Given> taken_;  // by the setting's name; no secrets
  std::vector<ConfigError> errors_;
};

/// What `pick` takes out of a configuration in which some settings alone were read.
template <class Pick>
auto load_part(std::initializer_list<std::string_view> names, const Environment& environment,
               const std::map<std::string, std::string>& flags, Pick pick)
    -> std::variant<decltype(pick(Config())), std::vector<ConfigError>> {
  auto loaded = Loader(environment, flags).load_only(names);
  if (auto* const errors = std::get_if<std::vector<ConfigError>>(&loaded)) {
    return std::move(*errors);
  }
  return pick(std::get<Config>(std::move(loaded)));
}

}  // namespace

std::variant<Config, std::vector<ConfigError>> load_config(
    const Environment& environment, const std::map<std::string, std::string>& flags) {
  return Loader(environment, flags).load();
}

log::Format load_log_format(const Environment& environment,
                            const std::map<std::string, std::string>& flags) {
  const auto loaded = Loader(environment, flags).load_only({"LOG_FORMAT"});
  const auto* const config = std::get_if<Config>(&loaded);
  return config != nullptr ? config->log_format : log::Format::text;
}

std::variant<StatusOptions, std::vector<ConfigError>> load_status_options(
    const Environment& environment, const std::map<std::string, std::string>& flags) {
  return load_part({"STATUS_ADDRESS"}, environment, flags,
                   [](Config&& config) { return std::move(config.status); });
}

std::variant<SpoolOptions, std::vector<ConfigError>> load_spool_options(
    const Environment& environment, const std::map<std::string, std::string>& flags) {
  return load_part({"SPOOL_DIR", "SPOOL_KEY"}, environment, flags,
                   [](Config&& config) { return std::move(config.spool); });
}

}  // namespace m2b
