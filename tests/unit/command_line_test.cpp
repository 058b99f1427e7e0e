#include "m2b/cli/command_line.hpp"

#include <doctest/doctest.h>
#include <sysexits.h>

#include <algorithm>
#include <map>
#include <sstream>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "m2b/config/config.hpp"

namespace m2b {
namespace {

TEST_SUITE("command line") {
  std::variant<CommandLine, Exit> parse(const std::vector<std::string>& arguments) {
    std::vector<const char*> argv = {"mqtt-to-blob"};
    for (const auto& argument : arguments) {
      argv.push_back(argument.c_str());
    }
    return parse_command_line(static_cast<int>(argv.size()), argv.data());
  }

  CommandLine line_of(const std::vector<std::string>& arguments) {
    auto parsed = parse(arguments);
    if (const auto* exit = std::get_if<Exit>(&parsed)) {
      FAIL_CHECK(exit->err);
      return {};
    }
    return std::get<CommandLine>(std::move(parsed));
  }

  Exit exit_of(const std::vector<std::string>& arguments) {
    auto parsed = parse(arguments);
    auto* exit = std::get_if<Exit>(&parsed);
    REQUIRE(exit != nullptr);
    return std::move(*exit);
  }

  /// What a mistake in the arguments says, without the name of the program.
  std::string mistake_of(const std::vector<std::string>& arguments) {
    const Exit exit = exit_of(arguments);
    CHECK(exit.code == EX_USAGE);
    CHECK(exit.out.empty());
    CHECK(std::ranges::count(exit.err, '\n') == 1);
    CHECK(exit.err.ends_with("; see mqtt-to-blob --help for the flags\n"));
    return exit.err.substr(exit.err.find(' ') + 1, exit.err.find(';') - exit.err.find(' ') - 1);
  }

  bool contains(const std::string& text, std::string_view part) {
    return text.find(part) != std::string::npos;
  }

  /// Every flag that takes a value: of a secret the one for its file.
  std::vector<std::string> setting_names() {
    std::vector<std::string> names;
    for (const auto& setting : settings()) {
      names.push_back(std::string(setting.name) + (setting.secret ? "_FILE" : ""));
    }
    return names;
  }

  std::vector<std::string> secret_names() {
    std::vector<std::string> names;
    for (const auto& setting : settings()) {
      if (setting.secret) {
        names.emplace_back(setting.name);
      }
    }
    return names;
  }

  TEST_CASE("without arguments the daemon runs") {
    const auto line = line_of({});
    CHECK(line.action == CommandLine::Action::run);
    CHECK(line.flags.empty());
  }

  TEST_CASE("every setting is a flag, and of a secret its file") {
    for (const auto& name : setting_names()) {
      CAPTURE(name);
      const std::map<std::string, std::string> expected = {{name, "value"}};
      CHECK(line_of({flag_of(name) + "=value"}).flags == expected);
      CHECK(line_of({flag_of(name), "value"}).flags == expected);
    }
  }

  TEST_CASE("a secret is refused as a flag, with the ways to give it") {
    CHECK(secret_names().size() >= 3);
    for (const auto& name : secret_names()) {
      const std::string flag = flag_of(name);
      CAPTURE(flag);
      const std::string expected =
          flag +
          ": everybody on the machine can read the arguments of a process: give the secret "
          "by " +
          name + ", or by a file that " + flag + "-file names";
      CHECK(mistake_of({flag + "=canary-9f27"}) == expected);
      CHECK(mistake_of({flag, "canary-9f27", "--check"}) == expected);
      CHECK(mistake_of({flag + "="}) == expected);
      CHECK(mistake_of({"--no-such", flag, "canary-9f27", "stray"}) == expected);
    }
  }

  TEST_CASE("values arrive as they were written") {
    for (const char* value :
         {"",           " ",          "-dash",    "--check",    "--topic=x", "a=b",
          "a,b",        "a b",        "[::1]",    "[::1]:9797", "[a,b]",     "{}",
          "%%",         "\"quoted\"", "'quoted'", "a\\,b",      "#",         "+/x",
          "$share/g/#", "@file",      "/C:x",     "true",       "größe",     "\n"}) {
      CAPTURE(value);
      const auto line = line_of({std::string("--topic=") + value, "--check", "--broker-url=b"});
      CHECK(line.flags.at("TOPIC") == value);
      CHECK(line.flags.at("BROKER_URL") == "b");
      CHECK(line.action == CommandLine::Action::check);
    }
    CHECK(line_of({"--topic", "-dash"}).flags.at("TOPIC") == "-dash");
    CHECK(line_of({"--topic", "", "--check"}).flags.at("TOPIC").empty());
  }

  TEST_CASE("an action can be asked for") {
    CHECK(line_of({"--check"}).action == CommandLine::Action::check);
    CHECK(line_of({"--health", "--status-address=[::1]:1"}).action == CommandLine::Action::health);
    CHECK(mistake_of({"--check", "--health"}) == "--check and --health exclude each other");
    CHECK(mistake_of({"--check=no"}) == "--check, --health and the like take no value");
    CHECK(mistake_of({"--check="}) != "");
  }

  TEST_CASE("the connection check has flags of its own") {
    CHECK(line_of({"--check", "--connect"}).action == CommandLine::Action::connect);
    CHECK_FALSE(line_of({"--check", "--connect"}).writes);
    CHECK_FALSE(line_of({"--check", "--connect"}).json);
    CHECK(line_of({"--write", "--connect", "--check"}).writes);
    CHECK(line_of({"--check", "--connect", "--json"}).json);
    CHECK(mistake_of({"--connect"}) ==
          "--connect belongs to --check: mqtt-to-blob --check --connect");
    CHECK(mistake_of({"--check", "--write"}) == "--write belongs to --check --connect");
    CHECK(mistake_of({"--json"}) == "--json belongs to --check --connect");
  }

  TEST_CASE("the version is printed with the name") {
    const Exit exit = exit_of({"--version"});
    CHECK(exit.code == 0);
    CHECK(exit.err.empty());
    CHECK(exit.out.starts_with("mqtt-to-blob "));
    CHECK(exit.out.find_first_of("0123456789") == std::string("mqtt-to-blob ").size());
    CHECK(exit.out.ends_with('\n'));
  }

  TEST_CASE("--settings prints the table of README.md") {
    const Exit exit = exit_of({"--settings"});
    CHECK(exit.code == 0);
    CHECK(exit.out == settings_table());
  }

  TEST_CASE("the help names every setting with its flag, default and meaning") {
    const Exit exit = exit_of({"--help"});
    CHECK(exit.code == 0);
    CHECK(exit_of({"-h"}).out == exit.out);
    CHECK(exit_of({"--no-such", "--help"}).out == exit.out);
    for (const auto& name : setting_names()) {
      CHECK(contains(exit.out, "  " + name + ", " + flag_of(name) + "  ("));
    }
    for (const auto& name : secret_names()) {
      CHECK(contains(exit.out, "  " + name + "  ("));
      CHECK_FALSE(contains(exit.out, flag_of(name) + " "));
    }
    std::string on_one_line;
    std::istringstream words(exit.out);
    for (std::string word; words >> word;) {
      on_one_line += word + " ";
    }
    for (const auto& setting : settings()) {
      CAPTURE(setting.name);
      CHECK(contains(on_one_line, setting.help));
      CHECK(contains(on_one_line, setting.allowed));
      CHECK(contains(on_one_line, setting.default_text));
      CHECK(contains(on_one_line, setting.default_note));
    }
    for (const char* action : {"--check", "--connect", "--write", "--json", "--health",
                               "--settings", "--version", "--help"}) {
      CHECK(contains(exit.out, std::string("  ") + action + "  "));
    }
    CHECK(exit.out.find("The original's settings") < exit.out.find("BROKER_URL, "));
    CHECK(exit.out.find("LOGGING_LEVEL, ") < exit.out.find("More settings"));
    CHECK(exit.out.find("More settings") < exit.out.find("MQTT_VERSION, "));
  }

  TEST_CASE("the help can be read in 100 columns") {
    std::istringstream lines(exit_of({"--help"}).out);
    for (std::string line; std::getline(lines, line);) {
      CAPTURE(line);
      CHECK(line.size() <= 100);
      CHECK_FALSE(line.ends_with(' '));
    }
  }

  TEST_CASE("a mistake in the arguments is one line that says which") {
    CHECK(mistake_of({"--no-such"}) == "unknown flag --no-such");
    CHECK(mistake_of({"--no-such=1", "--other"}) == "unknown flag --no-such");
    CHECK(mistake_of({"--broker-ur", "x"}) == "unknown flag --broker-ur");
    CHECK(mistake_of({"--BROKER-URL=x"}) == "unknown flag --BROKER-URL");
    CHECK(mistake_of({"-x"}) == "unknown flag -x");
    CHECK(mistake_of({"check"}) == "unexpected argument check");
    CHECK(mistake_of({"a\nb"}) == "unexpected argument a\\x0ab");
    CHECK(mistake_of({"--\u009b31m=x"}) == "unknown flag --\\xc2\\x9b31m");
    CHECK(mistake_of({"--topic=a", "b"}) == "unexpected argument b");
    CHECK(mistake_of({"--", "b"}) == "unexpected argument --");
    CHECK(mistake_of({"--check", "--topic"}) == "--topic needs a value");
    CHECK(mistake_of({"--topic=a", "--topic=a"}) == "--topic is given twice");
  }

  TEST_CASE("no mistake shows what may be a secret") {
    const std::string canary = "canary-9f27";
    const std::vector<std::vector<std::string>> mistakes = {
        {"--minio-secret-kye=" + canary},
        {"--minio-secret-kye", canary},
        {"-p" + canary},
        {"--mqtt-password", "one", canary},
        {"--mqtt-password=" + canary, "--mqtt-password=" + canary},
        {"--mqtt-password=" + canary, "--topic"},
        {"--mqtt-password=" + canary, "--check=yes"},
    };
    for (const auto& arguments : mistakes) {
      CHECK_FALSE(contains(mistake_of(arguments), canary));
    }
  }
}

}  // namespace

}  // namespace m2b
