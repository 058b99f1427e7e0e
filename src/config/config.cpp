#include "m2b/config/config.hpp"

#include <algorithm>
#include <cassert>
#include <utility>

#include "config/secret_file.hpp"
#include "config/text.hpp"

namespace m2b {
namespace {

/// A value that somebody gave, and how a message names it.
struct Given {
  std::string text;
  std::string label;  // e.g. `BROKER_PORT="70000": `
};

bool is_quoted(std::string_view text) {
  return text.size() > 1 && text.front() == text.back() &&
         (text.front() == '"' || text.front() == '\'');
}

std::string file_name_of(const Setting& setting) {
  return std::string(setting.name) + std::string(kSecretFileSuffix);
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
    check_together();
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
        return name == setting.name || (setting.secret && name == file_name_of(setting));
      });
      if (!known) {
        errors_.push_back(name + " is not a setting");
      }
    }
  }

  void load_setting(const Setting& setting) {
    const std::size_t errors_before = errors_.size();
    const auto given = find(setting);
    if (!given) {
      const bool reported = errors_.size() > errors_before;
      if (setting.required && !reported) {
        errors_.push_back(std::string(setting.name) + " is not set" +
                          (setting.secret ? ", nor is " + file_name_of(setting) : "") +
                          ": must be " + std::string(setting.allowed));
      }
      return;
    }
    auto fault = setting.apply(config_, given->text);
    if (!fault) {
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
      const std::string name(setting.name);
      auto text = look_up(layer, name, setting.empty_is_a_value);
      auto path = setting.secret ? look_up(layer, file_name_of(setting), false) : std::nullopt;
      if (text && path) {
        errors_.push_back(name + " and " + file_name_of(setting) +
                          " are both set: set one of them");
        return std::nullopt;
      }
      if (path) {
        return read_file(label(layer, file_name_of(setting), config::shown(*path)), *path);
      }
      if (text) {
        auto named = label(layer, name, setting.secret ? "***" : config::shown(*text));
        return Given{*std::move(text), named + ": "};
      }
    }
    return std::nullopt;
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
    auto content = config::read_secret_file(path);
    if (const auto* fault = std::get_if<config::Fault>(&content)) {
      errors_.push_back(named + ": " + fault->text);
      return std::nullopt;
    }
    return Given{std::get<std::string>(std::move(content)), named + ": what it holds "};
  }

  /// Settings that are right alone and wrong together.
  void check_together() {
    if (config_.mqtt.username.empty() && !config_.mqtt.password.empty()) {
      errors_.push_back(
          "MQTT_PASSWORD=***: needs MQTT_USERNAME, which is empty: MQTT 3.1.1 has no password "
          "without a user name (section 3.1.2.9)");
    }
    if (config_.mqtt.qos == 2 && config_.mqtt.version == MqttVersion::v3_1_1) {
      errors_.push_back(
          "MQTT_QOS=\"2\": must not be 2 with MQTT_VERSION=3.1.1, where the client library "
          "acknowledges such a message before it is on disk: write MQTT_QOS=1 or MQTT_VERSION=5");
    }
  }

  const Environment& environment_;
  const std::map<std::string, std::string>& flags_;
  Config config_;
  std::vector<ConfigError> errors_;
};

}  // namespace

std::variant<Config, std::vector<ConfigError>> load_config(
    const Environment& environment, const std::map<std::string, std::string>& flags) {
  return Loader(environment, flags).load();
}

std::variant<StatusOptions, std::vector<ConfigError>> load_status_options(
    const Environment& environment, const std::map<std::string, std::string>& flags) {
  auto loaded = Loader(environment, flags).load_only("STATUS_ADDRESS");
  if (auto* const errors = std::get_if<std::vector<ConfigError>>(&loaded)) {
    return std::move(*errors);
  }
  return std::get<Config>(loaded).status;
}

}  // namespace m2b
