#include "m2b/config/config.hpp"

namespace m2b {
namespace {

/// So that Markdown shows the text as it is, and the table keeps its columns.
std::string markdown(std::string_view text) {
  std::string out;
  for (const char byte : text) {
    if (std::string_view("\\|<*`").find(byte) != std::string_view::npos) {
      out += '\\';
    }
    out += byte;
  }
  return out;
}

std::string code(std::string_view text) { return "`" + std::string(text) + "`"; }

std::string default_cell(const Setting& setting) {
  if (setting.required) {
    return setting.unless.empty() ? "**required**" : "**required**, or " + code(setting.unless);
  }
  return setting.default_text.empty() ? markdown(setting.default_note) : code(setting.default_text);
}

}  // namespace

std::string settings_table() {
  std::string table = "| variable | default | allowed | meaning |\n| --- | --- | --- | --- |\n";
  for (const auto& setting : settings()) {
    std::string names = code(setting.name);
    if (setting.secret) {
      names += " or " + code(std::string(setting.name) + std::string(kSecretFileSuffix));
    }
    if (!setting.other_name.empty()) {
      names += ", or " + code(setting.other_name);
    }
    table += "| " + names + " | " + default_cell(setting) + " | " + markdown(setting.allowed) +
             " | " + markdown(setting.help) + " |\n";
  }
  return table;
}

}  // namespace m2b
