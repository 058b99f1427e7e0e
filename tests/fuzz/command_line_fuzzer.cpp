// cli: any arguments give a command or one line of complaint, which shows no secret.
// Input: the arguments, with a NUL between them. Those behind `spool` or `dead-letter` are a
// tool's.

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "fuzz/checks.hpp"
#include "m2b/cli/command_line.hpp"
#include "m2b/cli/tool_line.hpp"

namespace {

using namespace m2b;
using fuzz::kCanary;
using fuzz::require;

void check_exit(const Exit& exit, bool is_tool) {
  require(exit.code == 0 || exit.code == 64, "it ends with success or as a usage error");
  require((exit.code == 0) == exit.err.empty(), "a usage error says why");
  if (exit.code != 0) {
    require(exit.err.ends_with('\n') && fuzz::is_one_visible_line(std::string_view(exit.err).substr(
                                            0, exit.err.size() - 1)),
            "a usage error is one visible line");
  }
  const bool shows_secret =
      exit.out.find(kCanary) != std::string::npos || exit.err.find(kCanary) != std::string::npos;
  require(is_tool || !shows_secret, "nothing shows a secret");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  // What the input itself says is no secret.
  if (std::string_view(reinterpret_cast<const char*>(data), size).find(kCanary) !=
      std::string_view::npos) {
    return 0;
  }
  std::vector<std::string> arguments{"mqtt-to-blob"};
  if (size > 0) arguments.emplace_back();
  for (std::size_t i = 0; i < size; ++i) {
    const char byte = static_cast<char>(data[i]);
    if (byte == '\0') {
      arguments.emplace_back();
    } else {
      arguments.back() += byte;
    }
  }
  // Each value of a secret's flag carries the canary. The tools have no secrets.
  const bool is_tool =
      arguments.size() > 1 && (arguments[1] == "spool" || arguments[1] == "dead-letter");
  for (std::string& argument : arguments) {
    for (const char* const flag : {"--minio-secret-key=", "--mqtt-password="}) {
      if (!is_tool && argument.starts_with(flag)) argument += kCanary;
    }
  }
  std::vector<const char*> argv;
  for (const std::string& argument : arguments) argv.push_back(argument.c_str());
  const int argc = static_cast<int>(argv.size());
  const auto no_environment = [](const std::string&) { return std::optional<std::string>(); };

  require(is_tool_line(argc, argv.data()) == is_tool, "a tool is called by its group");
  if (is_tool) {
    const auto parsed = parse_tool_line(argc, argv.data(), no_environment);
    if (const auto* const exit = std::get_if<Exit>(&parsed)) check_exit(*exit, is_tool);
    return 0;
  }
  const auto parsed = parse_command_line(argc, argv.data());
  if (const auto* const exit = std::get_if<Exit>(&parsed)) {
    check_exit(*exit, is_tool);
  } else {
    const auto& flags = std::get<CommandLine>(parsed).flags;
    require(!flags.contains("MINIO_SECRET_KEY") && !flags.contains("MQTT_PASSWORD"),
            "no secret is taken from a flag");
  }
  return 0;
}
