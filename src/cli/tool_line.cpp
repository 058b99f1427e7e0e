#include "m2b/cli/tool_line.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sysexits.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "config/values.hpp"
#include "m2b/util/visible.hpp"

namespace m2b {
namespace {

using Action = ToolRequest::Action;

constexpr std::array<std::string_view, 2> kGroups{"spool", "dead-letter"};
constexpr std::chrono::milliseconds kNoAge{0};
constexpr std::chrono::hours kLongestAge{24 * 365 * 100};

Exit mistake(std::string_view what, std::string_view group) {
  return {
      .code = EX_USAGE,
      .err = fmt::format("mqtt-to-blob: {}; see mqtt-to-blob {} --help\n", visible(what), group)};
}

std::string reason_names() {
  std::vector<std::string_view> names;
  std::ranges::transform(kDeadLetterReasons, std::back_inserter(names),
                         [](DeadLetterReason reason) { return to_string(reason); });
  return fmt::format("{}", fmt::join(names, ", "));
}

/// The commands of one group, each with the options that it has.
class ToolParser {
 public:
  explicit ToolParser(std::string_view group)
      : group_(group), app_("", "mqtt-to-blob " + std::string(group)) {
    app_.require_subcommand(1);
    if (group == "spool") {
      app_.description("Looks into the spool, also while the bridge uses it.");
      add_spool_commands();
    } else {
      app_.description("What could not become an object, also while the bridge uses the spool.");
      add_letter_commands();
    }
  }

  std::variant<ToolRequest, Exit> parse(std::vector<std::string> reversed,
                                        const Environment& environment) {
    if (auto fault = command_fault(reversed)) {
      return mistake(*fault, group_);
    }
    try {
      app_.parse(std::move(reversed));
    } catch (const CLI::CallForHelp&) {
      return Exit{.out = help()};
    } catch (const CLI::ParseError& error) {
      return mistake(error.what(), group_);
    }
    if (auto fault = complete(environment)) {
      return mistake(*fault, group_);
    }
    return request_;
  }

 private:
  /// CLI11 does not name a command that it does not know.
  std::optional<std::string> command_fault(const std::vector<std::string>& reversed) const {
    std::vector<std::string> names;
    for (const CLI::App* const command : app_.get_subcommands(nullptr)) {
      names.push_back(command->get_name());
    }
    const std::string given = reversed.empty() ? "" : reversed.back();
    if (given == "--help" || given == "-h" || std::ranges::find(names, given) != names.end()) {
      return std::nullopt;
    }
    return fmt::format("{} {}: must be one of {}", group_, given, fmt::join(names, ", "));
  }

  void add_spool_commands() {
    add(Action::spool_stat, "stat", "The accounts, and what is wrong, in a few lines");
    CLI::App* const ls = add(Action::spool_ls, "ls", "The messages that wait, oldest first");
    add_limit(ls);
    CLI::App* const show = add(Action::spool_show, "show", "What is known of a message");
    add_ids(show)->required();
    add_payload(show);
    add(Action::spool_verify, "verify", "Reads all of it and says what is damaged");
    CLI::App* const out = add(Action::spool_export, "export", "Writes messages into a new folder");
    add_target(out);
    add_ids(out);
    add(Action::spool_repair, "repair",
        "Mends what is damaged and takes back what a full disk left in set-aside; needs the bridge "
        "stopped");
  }

  void add_letter_commands() {
    CLI::App* const ls = add(Action::letters_ls, "ls", "The dead letters, oldest first");
    add_limit(ls);
    add_selection(ls);
    CLI::App* const show = add(Action::letters_show, "show", "What is known of a dead letter");
    add_ids(show)->required();
    add_payload(show);
    CLI::App* const out = add(Action::letters_export, "export", "Writes them into a new folder");
    add_target(out);
    add_selection(out);
    CLI::App* const replay = add(Action::letters_replay, "replay",
                                 "Puts them back into the queue, as if they had just come");
    add_selection(replay);
    CLI::App* const drop = add(Action::letters_drop, "drop", "Removes them for good");
    add_selection(drop);
    drop->add_flag("--yes", request_.confirmed, "Really");
    for (CLI::App* const mover : {replay, drop}) {
      mover->add_flag("--all", all_, "All of them");
    }
  }

  CLI::App* add(Action action, const char* name, const char* help) {
    CLI::App* const command = app_.add_subcommand(name, help);
    command->callback([this, action] { request_.action = action; });
    command->add_flag("--json", request_.json, "JSON, one document a line");
    command->add_option("--spool-dir", directory_, "The spool's folder (default: SPOOL_DIR)");
    command->add_option("--spool-key-file", key_file_,
                        "File with the keys of an encrypted spool (default: SPOOL_KEY_FILE, or "
                        "SPOOL_KEY)");
    return command;
  }
  CLI::Option* add_ids(CLI::App* command) {
    return command->add_option("ID", ids_, "Their numbers, as ls shows them");
  }
  void add_selection(CLI::App* command) {
    add_ids(command);
    command->add_option("--reason", reasons_, "Those with this reason; may be given several times")
        ->expected(1)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
    command->add_option("--older-than", older_than_, "Those buried longer ago: 90m, 12h, 30d");
  }
  void add_limit(CLI::App* command) {
    command->add_option("--limit", request_.limit, "So many lines at most");
  }
  void add_payload(CLI::App* command) {
    command->add_flag("--payload", request_.payload, "The message itself and nothing else");
  }
  void add_target(CLI::App* command) {
    command->add_option("FOLDER", target_, "Where to write; it must not exist or be empty")
        ->required();
  }

  /// Checks what CLI11 does not; the first fault for a person.
  std::optional<std::string> complete(const Environment& environment) {
    auto loaded =
        load_spool_options(environment, {{"SPOOL_DIR", directory_}, {"SPOOL_KEY_FILE", key_file_}});
    if (auto* const mistakes = std::get_if<std::vector<ConfigError>>(&loaded)) {
      return std::move(mistakes->front());
    }
    auto& spool = std::get<SpoolOptions>(loaded);
    request_.directory = std::move(spool.directory);
    request_.keys = std::move(spool.keys);
    request_.target = target_;
    for (const std::uint64_t id : ids_) {
      request_.selection.ids.push_back(SpoolId{id});
    }
    for (const std::string& name : reasons_) {
      const auto* const reason =
          std::ranges::find(kDeadLetterReasons, name, [](auto one) { return to_string(one); });
      if (reason == kDeadLetterReasons.end()) {
        return fmt::format("--reason {}: must be one of {}", name, reason_names());
      }
      request_.selection.reasons.push_back(*reason);
    }
    if (!older_than_.empty()) {
      request_.selection.older_than = config::parse_duration(older_than_, kNoAge, kLongestAge);
      if (!request_.selection.older_than) {
        return fmt::format("--older-than {}: must be a duration such as 90m, 12h or 30d",
                           older_than_);
      }
    }
    const bool moves =
        request_.action == Action::letters_replay || request_.action == Action::letters_drop;
    const bool selects = !ids_.empty() || !reasons_.empty() || !older_than_.empty();
    if (moves && selects == all_) {
      return all_ ? "--all and a selection exclude each other"
                  : "say which: by number, --reason, --older-than, or --all";
    }
    if (request_.json && request_.payload) {
      return "--json and --payload exclude each other";
    }
    return std::nullopt;
  }

  std::string help() {
    for (CLI::App* const command : app_.get_subcommands()) {
      return command->help("mqtt-to-blob " + group_);
    }
    return app_.help();
  }

  const std::string group_;
  CLI::App app_;
  ToolRequest request_;
  std::string directory_;
  std::string key_file_;
  std::string target_;
  std::vector<std::uint64_t> ids_;
  std::vector<std::string> reasons_;
  std::string older_than_;
  bool all_ = false;
};

}  // namespace

bool is_tool_line(int argc, const char* const* argv) {
  return argc > 1 && std::ranges::find(kGroups, argv[1]) != kGroups.end();
}

std::variant<ToolRequest, Exit> parse_tool_line(int argc, const char* const* argv,
                                                const Environment& environment) {
  std::vector<std::string> arguments(argv + 2, argv + argc);
  std::ranges::reverse(arguments);  // the order that CLI11 wants
  return ToolParser(argv[1]).parse(std::move(arguments), environment);
}

}  // namespace m2b
