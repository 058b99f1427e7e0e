#include "m2b/cli/command_line.hpp"

#include <sysexits.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstddef>
#include <string_view>
#include <vector>

#include "cli/help.hpp"
#include "m2b/config/config.hpp"
#include "m2b/util/visible.hpp"

namespace m2b {
namespace {

/// A setting as CLI11 sees it.
struct Flag {
  std::string setting_name;
  bool secret = false;            // refused, but known, so that nothing of it is shown
  CLI::Option* option = nullptr;  // owned by the App
};

std::string file_of(const std::string& secret) { return secret + std::string(kSecretFileSuffix); }

Exit mistake(std::string_view what) {
  return {.code = EX_USAGE,
          .err = "mqtt-to-blob: " + visible(what) + "; see mqtt-to-blob --help for the flags\n"};
}

/// The arguments in the order that CLI11 wants: the last first. `--flag=` is handed over as a flag
/// and an empty value; by itself CLI11 would take the next argument for the value.
std::vector<std::string> reversed_arguments(int argc, const char* const* argv) {
  std::vector<std::string> arguments;
  for (int i = 1; i < argc; ++i) {
    std::string argument = argv[i];
    const bool empty_value =
        argument.starts_with("--") && argument.find('=') + 1 == argument.size();
    if (empty_value) {
      argument.pop_back();
    }
    arguments.push_back(std::move(argument));
    if (empty_value) {
      arguments.emplace_back();
    }
  }
  std::ranges::reverse(arguments);
  return arguments;
}

class Parser {
 public:
  Parser() {
    app_.set_help_flag();  // its place is taken by ours
    check_ = add_action("--check");
    connect_ = add_action("--connect");
    write_ = add_action("--write");
    json_ = add_action("--json");
    health_ = add_action("--health");
    settings_ = add_action("--settings");
    version_ = add_action("--version");
    help_ = add_action("--help,-h");
    app_.allow_extras();
    for (const auto& setting : settings()) {
      add_flag(std::string(setting.name), setting.secret);
      if (setting.secret) {
        add_flag(file_of(std::string(setting.name)), false);
      }
    }
  }

  std::variant<CommandLine, Exit> parse(std::vector<std::string> reversed) {
    const std::string last = reversed.empty() ? "" : reversed.front();
    try {
      app_.parse(std::move(reversed));
    } catch (const CLI::ParseError&) {
      // What CLI11 says may hold the values of flags.
      return mistake(is_setting_flag(last) ? last + " needs a value"
                                           : "--check, --health and the like take no value");
    }
    if (help_->count() > 0) {
      return Exit{.out = cli::help_text()};
    }
    if (auto fault = first_fault()) {
      return mistake(*fault);
    }
    if (version_->count() > 0) {
      return Exit{.out = "mqtt-to-blob " M2B_VERSION "\n"};
    }
    if (settings_->count() > 0) {
      return Exit{.out = settings_table()};
    }
    return command_line();
  }

 private:
  void add_flag(const std::string& name, bool secret) {
    // TakeAll: a flag given twice is told apart here, not by CLI11.
    auto* option = app_.add_option(flag_of(name), ignored_)
                       ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
    flags_.push_back({name, secret, option});
  }

  CLI::Option* add_action(const std::string& names) {
    return app_.add_flag(names)->disable_flag_override();
  }

  bool is_setting_flag(const std::string& argument) const {
    return std::ranges::any_of(
        flags_, [&](const Flag& flag) { return argument == flag_of(flag.setting_name); });
  }

  std::optional<std::string> first_fault() const {
    for (const auto& flag : flags_) {
      if (flag.secret && flag.option->count() > 0) {
        return flag_of(flag.setting_name) +
               ": everybody on the machine can read the arguments of a process: give the secret "
               "by " +
               flag.setting_name + ", or by a file that " + flag_of(file_of(flag.setting_name)) +
               " names";
      }
    }
    const auto strays = app_.remaining();
    if (!strays.empty()) {
      return stray_fault(strays.front());
    }
    for (const auto& flag : flags_) {
      if (flag.option->count() > 1) {
        return flag_of(flag.setting_name) + " is given twice";
      }
    }
    if (check_->count() > 0 && health_->count() > 0) {
      return "--check and --health exclude each other";
    }
    if (connect_->count() > 0 && check_->count() == 0) {
      return "--connect belongs to --check: mqtt-to-blob --check --connect";
    }
    for (const CLI::Option* const option : {write_, json_}) {
      if (option->count() > 0 && connect_->count() == 0) {
        return option->get_name() + " belongs to --check --connect";
      }
    }
    return std::nullopt;
  }

  /// A mistyped flag may carry a secret.
  static std::string stray_fault(const std::string& stray) {
    if (stray.starts_with("--") && stray != "--") {
      return "unknown flag " + stray.substr(0, stray.find('='));
    }
    if (stray.starts_with('-') && stray != "--") {
      return "unknown flag " + stray.substr(0, 2);
    }
    return "unexpected argument " + stray;
  }

  CommandLine command_line() const {
    CommandLine line;
    line.writes = write_->count() > 0;
    line.json = json_->count() > 0;
    if (connect_->count() > 0) {
      line.action = CommandLine::Action::connect;
    } else if (check_->count() > 0) {
      line.action = CommandLine::Action::check;
    } else if (health_->count() > 0) {
      line.action = CommandLine::Action::health;
    }
    for (const auto& flag : flags_) {
      if (flag.option->count() > 0) {
        line.flags[flag.setting_name] = flag.option->results().front();
      }
    }
    return line;
  }

  CLI::App app_;
  std::string ignored_;  // the results are read from the options
  std::vector<Flag> flags_;
  // Owned by the App.
  CLI::Option* check_ = nullptr;
  CLI::Option* connect_ = nullptr;
  CLI::Option* write_ = nullptr;
  CLI::Option* json_ = nullptr;
  CLI::Option* health_ = nullptr;
  CLI::Option* settings_ = nullptr;
  CLI::Option* version_ = nullptr;
  CLI::Option* help_ = nullptr;
};

}  // namespace

std::variant<CommandLine, Exit> parse_command_line(int argc, const char* const* argv) {
  return Parser().parse(reversed_arguments(argc, argv));
}

}  // namespace m2b
