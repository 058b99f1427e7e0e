#include "m2b/config/config.hpp"

#include <algorithm>
#include <cassert>
#include <utility>

#include "config/text.hpp"
#include "m2b/tls/tls_material.hpp"
#include "m2b/upload/credentials.hpp"
#include "m2b/util/secret_file.hpp"

namespace m2b {
namespace {

/// A value that somebody gave, and how a message names it.
struct Given {
  std::string text;
  std::string label;      // e.g. `BROKER_PORT="70000": `
  std::string file = {};  // that a secret came from
};

bool is_quoted(std::string_view text) {
  return text.size() > 1 && text.front() == text.back() &&
         (text.front() == '"' || text.front() == '\'');
}

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

  std::variant<Config, std::vector<ConfigError>> load_only(std::string_view name) && {
    const auto setting = std::ranges::find(settings(), name, &Setting::name);
    assert(setting != settings().end());
    load_setting(*setting);
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
    const auto given = find(setting);
    if (!given) {
      const bool reported = errors_.size() > errors_before;
      if (setting.required && !reported && !is_given(setting.unless)) {
        errors_.push_back(std::string(setting.name) + " is not set" +
                          (setting.secret ? ", nor is " + file_name_of(setting.name) : "") +
                          ": must be " + std::string(setting.allowed));
      }
      return;
    }
    auto fault = setting.apply(config_, given->text);
    if (!fault) {
      if (setting.keep_file && !given->file.empty()) {
        setting.keep_file(config_, given->file);
      }
      return;
    }
    if (fault->empty()) {
      *fault = "must be " + std::string(setting.allowed);
    }
    if (is_quoted(given->text)) {
      *fault += " (the quotes around it are part of the value: remove them)";
    }
    errors_.push_back(given->label + *fault);
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
    return Given{*std::move(text), named + ": "};
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
    const auto content = read_secret_file(path);
    if (const auto* fault = std::get_if<SecretFileFault>(&content)) {
      errors_.push_back(named + ": " + fault->text);
      return std::nullopt;
    }
    return Given{std::get<Secret>(content).reveal(), named + ": what it holds ", path};
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
  std::vector<ConfigError> errors_;
};

/// What `pick` takes out of a configuration in which one setting alone was read.
template <class Pick>
auto load_part(std::string_view setting, const Environment& environment,
               const std::map<std::string, std::string>& flags, Pick pick)
    -> std::variant<decltype(pick(Config())), std::vector<ConfigError>> {
  auto loaded = Loader(environment, flags).load_only(setting);
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
  const auto loaded = Loader(environment, flags).load_only("LOG_FORMAT");
  const auto* const config = std::get_if<Config>(&loaded);
  return config != nullptr ? config->log_format : log::Format::text;
}

std::variant<StatusOptions, std::vector<ConfigError>> load_status_options(
    const Environment& environment, const std::map<std::string, std::string>& flags) {
  return load_part("STATUS_ADDRESS", environment, flags,
                   [](Config&& config) { return std::move(config.status); });
}

std::variant<KeyRing, std::vector<ConfigError>> load_spool_keys(
    const Environment& environment, const std::map<std::string, std::string>& flags) {
  return load_part("SPOOL_KEY", environment, flags,
                   [](Config&& config) { return std::move(config.spool.keys); });
}

}  // namespace m2b
