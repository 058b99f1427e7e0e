#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "m2b/mqtt/options.hpp"
#include "m2b/pipeline/options.hpp"
#include "m2b/spool/options.hpp"
#include "m2b/status/options.hpp"
#include "m2b/upload/options.hpp"
#include "m2b/util/log.hpp"

namespace m2b {

/// All settings of the daemon, each module's in its own struct.
struct Config {
  MqttOptions mqtt;
  SpoolOptions spool;
  PipelineOptions pipeline;
  StoreOptions store;
  StatusOptions status;
  log::Level log_level = log::Level::info;
  log::Format log_format = log::Format::text;
  /// How long uploads may go on after SIGTERM; below the 10 s that `docker stop` waits.
  std::chrono::milliseconds shutdown_timeout{8000};
  /// What is allowed and looks like a mistake all the same, in the form of a ConfigError.
  std::vector<std::string> warnings = {};
};

/// One setting as a person sees it; the table behind --help, README.md and the parser alike.
struct Setting {
  std::string_view name = {};        // environment variable; the flag is made from it
  std::string_view other_name = {};  // of the AWS tools, for the same; counts where the access key
                                     // is not given under ours
  std::string_view default_text = {};  // what to write for the same effect; empty: none
  std::string_view default_note = {};  // the default in words, where no value says the same
  std::string_view allowed = {};       // what values are accepted, after "must be"
  std::string_view help = {};
  bool original = false;  // the original service has it too
  bool required = false;
  std::string_view unless = {};  // not required where this other setting is given
  bool secret = false;  // its value is never shown; `<name>_FILE` names a file that holds it
  bool empty_is_a_value = false;  // elsewhere an empty text counts as not set
  /// Any text may be its value, so that a blank at an end may be a part of it: it is refused.
  /// Elsewhere blanks at the ends are removed, because no value has any.
  bool any_text = false;
  bool several_lines = false;  // line ends are a part of its form
  /// Stores the value in the config, or says what is wrong with it ("must be …"); an empty text
  /// says no more than that it is not what `allowed` asks for.
  std::function<std::optional<std::string>(Config&, std::string_view)> apply = {};
  /// Of a secret that is read again from its file: stores the path as well.
  std::function<void(Config&, const std::string&)> keep_file = {};
};

/// What is added to the name of a secret to name the file that holds it.
inline constexpr std::string_view kSecretFileSuffix = "_FILE";

/// Every setting, in the order of README.md, the original's first.
[[nodiscard]] std::span<const Setting> settings();

/// The settings as the Markdown table of README.md; `mqtt-to-blob --settings` prints it.
[[nodiscard]] std::string settings_table();

/// `BROKER_URL` -> `--broker-url`.
[[nodiscard]] std::string flag_of(std::string_view setting_name);

/// One thing that is wrong: the variable, its value (`***` for secrets) and what is allowed.
using ConfigError = std::string;

/// Reads a variable of the environment; replaced in tests.
using Environment = std::function<std::optional<std::string>(const std::string& name)>;

/// Defaults < environment < flags (by the name of the setting, or of a secret's file). Every
/// mistake at once. An empty value counts as not set, unless the setting says otherwise.
///
/// One rule for the text of every setting: control characters are refused; blanks at the ends are
/// removed where no value has any; quotes around the whole, and blanks, invisible characters and
/// typographic quotes at the ends are refused. A secret from a file, and the original's keys, are
/// taken with the latter, with a warning: a file is made for the secret as it is, and where one
/// file gives the store its keys and us ours, both have the same quotes.
[[nodiscard]] std::variant<Config, std::vector<ConfigError>> load_config(
    const Environment& environment, const std::map<std::string, std::string>& flags);

/// The form of the log alone, in which the mistakes of the other settings are told; text where it
/// is a mistake itself.
[[nodiscard]] log::Format load_log_format(const Environment& environment,
                                          const std::map<std::string, std::string>& flags);

/// The status listener's address alone, for a health check: it asks a daemon whose other settings
/// it may not know.
[[nodiscard]] std::variant<StatusOptions, std::vector<ConfigError>> load_status_options(
    const Environment& environment, const std::map<std::string, std::string>& flags);

/// The spool's directory and keys alone, for the tools.
[[nodiscard]] std::variant<SpoolOptions, std::vector<ConfigError>> load_spool_options(
    const Environment& environment, const std::map<std::string, std::string>& flags);

}  // namespace m2b
