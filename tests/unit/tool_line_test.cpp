#include "m2b/cli/tool_line.hpp"

#include <doctest/doctest.h>
#include <sysexits.h>

#include <fstream>
#include <string>
#include <variant>
#include <vector>

#include "support/keys.hpp"
#include "support/temp_dir.hpp"

namespace {

TEST_SUITE("tool_line") {
  using namespace m2b;
  using namespace std::chrono_literals;
  using Action = ToolRequest::Action;

  std::optional<std::string> environment(const std::string& name) {
    return name == "SPOOL_DIR"   ? std::optional<std::string>("/from/environment")
           : name == "SPOOL_KEY" ? std::optional<std::string>(test::kOneKey)
                                 : std::nullopt;
  }

  std::variant<ToolRequest, Exit> parse(const std::vector<std::string>& arguments) {
    std::vector<const char*> argv = {"mqtt-to-blob"};
    for (const auto& argument : arguments) {
      argv.push_back(argument.c_str());
    }
    REQUIRE(is_tool_line(static_cast<int>(argv.size()), argv.data()));
    return parse_tool_line(static_cast<int>(argv.size()), argv.data(), environment);
  }

  ToolRequest request_of(const std::vector<std::string>& arguments) {
    auto parsed = parse(arguments);
    if (const auto* exit = std::get_if<Exit>(&parsed)) {
      FAIL_CHECK(exit->err);
      return {};
    }
    return std::get<ToolRequest>(std::move(parsed));
  }

  /// What a mistake says, without the name of the program and the remedy.
  std::string mistake_of(const std::vector<std::string>& arguments) {
    auto parsed = parse(arguments);
    const auto* const exit = std::get_if<Exit>(&parsed);
    REQUIRE(exit != nullptr);
    CHECK(exit->code == EX_USAGE);
    CHECK(exit->err.ends_with("; see mqtt-to-blob " + arguments.front() + " --help\n"));
    return exit->err.substr(14, exit->err.rfind("; see") - 14);
  }

  TEST_CASE("the daemon's own arguments are no tool's") {
    const char* const daemon[] = {"mqtt-to-blob", "--check"};
    CHECK_FALSE(is_tool_line(2, daemon));
    CHECK_FALSE(is_tool_line(1, daemon));
  }

  TEST_CASE("the keys come from the flag's file, else from the environment") {
    CHECK(request_of({"spool", "ls"}).keys.encrypting()->id() == KeyId{0x9f1af927});
    const test::TempDir dir;
    const std::string file = dir.path() / "keys";
    std::ofstream(file) << test::kAnotherKey << "\n";
    const ToolRequest request = request_of({"dead-letter", "ls", "--spool-key-file", file});
    CHECK(request.keys.encrypting()->bytes() == std::string(32, '\x07'));
    CHECK(mistake_of({"spool", "ls", "--spool-key-file", "/no/such"}) ==
          "SPOOL_KEY_FILE=\"/no/such\" (--spool-key-file): cannot be read: No such file or "
          "directory");
  }

  TEST_CASE("the folder comes from the flag, else from the environment") {
    CHECK(request_of({"spool", "stat"}).directory == "/from/environment");
    CHECK(request_of({"spool", "stat", "--spool-dir", "/x"}).directory == "/x");
    CHECK(request_of({"dead-letter", "ls", "--spool-dir=/x"}).directory == "/x");
  }

  TEST_CASE("each command is known") {
    CHECK(request_of({"spool", "stat", "--json"}).json);
    CHECK(request_of({"spool", "ls", "--limit", "5"}).limit == 5);
    CHECK(request_of({"spool", "show", "7"}).selection.ids == std::vector{SpoolId{7}});
    CHECK(request_of({"spool", "verify"}).action == Action::spool_verify);
    CHECK(request_of({"spool", "export", "/to", "3", "4"}).target == "/to");
    CHECK(request_of({"spool", "repair"}).action == Action::spool_repair);
    CHECK(request_of({"dead-letter", "show", "7", "--payload"}).payload);
    CHECK(request_of({"dead-letter", "replay", "--all"}).action == Action::letters_replay);
    CHECK(request_of({"dead-letter", "drop", "1", "--yes"}).confirmed);
  }

  TEST_CASE("dead letters are selected by number, reason and age") {
    const ToolRequest request =
        request_of({"dead-letter", "export", "/to", "1", "2", "--reason", "not_json", "--reason",
                    "bad_key", "--older-than", "90m"});
    CHECK(request.selection.ids == std::vector{SpoolId{1}, SpoolId{2}});
    CHECK(request.selection.reasons ==
          std::vector{DeadLetterReason::not_json, DeadLetterReason::bad_key});
    CHECK(request.selection.older_than == 90min);
  }

  TEST_CASE("mistakes name the value and what is allowed") {
    CHECK(mistake_of({"spool", "lx"}) ==
          "spool lx: must be one of stat, ls, show, verify, export, repair");
    CHECK(mistake_of({"dead-letter"}) ==
          "dead-letter : must be one of ls, show, export, replay, drop");
    CHECK(mistake_of({"spool", "show"}).find("ID") != std::string::npos);
    CHECK(mistake_of({"spool", "export"}).find("FOLDER") != std::string::npos);
    CHECK(mistake_of({"dead-letter", "ls", "--reason", "bad"})
              .find("--reason bad: must be one of not_json, ") == 0);
    CHECK(mistake_of({"dead-letter", "ls", "--older-than", "1y"}) ==
          "--older-than 1y: must be a duration such as 90m, 12h or 30d");
    CHECK(mistake_of({"spool", "show", "1", "--json", "--payload"}) ==
          "--json and --payload exclude each other");
  }

  TEST_CASE("what moves letters must say which") {
    const std::string which = "say which: by number, --reason, --older-than, or --all";
    CHECK(mistake_of({"dead-letter", "replay"}) == which);
    CHECK(mistake_of({"dead-letter", "drop", "--yes"}) == which);
    CHECK(mistake_of({"dead-letter", "drop", "--all", "3"}) ==
          "--all and a selection exclude each other");
  }

  TEST_CASE("help is for the group or for one command") {
    auto group = parse({"spool", "--help"});
    CHECK(std::get<Exit>(group).code == 0);
    CHECK(std::get<Exit>(group).out.find("verify") != std::string::npos);
    auto one = parse({"spool", "ls", "--help"});
    CHECK(std::get<Exit>(one).out.find("--limit") != std::string::npos);
  }
}

}  // namespace
