#include "cli/help.hpp"

#include <cstddef>
#include <string_view>

#include "m2b/config/config.hpp"

namespace m2b::cli {
namespace {

constexpr std::size_t kColumns = 100;
constexpr std::string_view kIndent = "      ";

/// The words of the text in lines of at most kColumns, each after the indent.
std::string wrapped(std::string_view text) {
  std::string out;
  std::size_t column = kColumns;
  while (!text.empty()) {
    const auto word = text.substr(0, text.find(' '));
    text.remove_prefix(word.size() == text.size() ? word.size() : word.size() + 1);
    if (column + 1 + word.size() > kColumns) {
      out += out.empty() ? "" : "\n";
      out += kIndent;
      column = kIndent.size();
    } else {
      out += ' ';
      ++column;
    }
    out += word;
    column += word.size();
  }
  return out + "\n";
}

std::string default_of(const Setting& setting) {
  if (setting.required) {
    return "required";
  }
  return "default: " +
         std::string(setting.default_text.empty() ? setting.default_note : setting.default_text);
}

std::string entry(const Setting& setting) {
  const std::string name(setting.name);
  std::string out = "  " + name + (setting.secret ? "" : ", " + flag_of(name)) + "  (" +
                    default_of(setting) + ")\n";
  if (setting.secret) {
    const std::string file = name + std::string(kSecretFileSuffix);
    out += "  " + file + ", " + flag_of(file) + "  (path of a file that holds it)\n";
  }
  return out +
         wrapped(std::string(setting.help) + " Must be " + std::string(setting.allowed) + ".");
}

}  // namespace

std::string help_text() {
  std::string out =
      "mqtt-to-blob: camera pictures from MQTT into a MinIO or S3 bucket, none lost.\n"
      "\n"
      "Usage: mqtt-to-blob [--check | --health] [--<setting>=<value> ...]\n"
      "       mqtt-to-blob --check --connect [--write] [--json] [--<setting>=<value> ...]\n"
      "       mqtt-to-blob spool stat|ls|show|verify|export|repair [--help]\n"
      "       mqtt-to-blob dead-letter ls|show|export|replay|drop [--help]\n"
      "\n"
      "  --check     validate the configuration and exit\n"
      "  --connect   with --check: connect to the broker and the store as well, and report each "
      "step\n"
      "              with its remedy, within 30 s; a running bridge is not disturbed\n"
      "  --write     with --connect: write, read and remove an object under mqtt-to-blob-check/; "
      "makes\n"
      "              the bucket if it does not exist, as the bridge does\n"
      "  --json      with --connect: each step as one JSON object in one line\n"
      "  --health    ask the running daemon whether it lives, and exit\n"
      "  --settings  print the settings as a Markdown table and exit\n"
      "  --version   print the version and exit\n"
      "  --help      print this and exit\n"
      "\n"
      "Each setting is an environment variable and a flag; the flag wins, and an empty value "
      "counts\n"
      "as not set. Secrets are no flags, which everybody on the machine could read: give them by "
      "the\n"
      "environment or, better, by the file that <secret>_FILE names.\n"
      "\n"
      "Durations: 500ms, 8s, 5m, 12h, 30d; a bare number is seconds. Sizes: bytes, or with KiB, "
      "MiB,\n"
      "GiB, TiB, kB, MB, GB, TB.\n";
  bool original = false;
  for (const auto& setting : settings()) {
    if (setting.original != original || &setting == &settings().front()) {
      original = setting.original;
      out += original ? "\nThe original's settings\n" : "\nMore settings\n";
    }
    out += entry(setting);
  }
  return out +
         "\nExit status: 0 success, 64 usage, 74 spool input/output, 78 configuration.\n"
         "--check --connect also: 1 a step failed, 2 there are warnings only, 130 interrupted.\n"
         "The tools also: 1 damage was found or not all could be done, 66 no spool or no such "
         "message.\n";
}

}  // namespace m2b::cli
