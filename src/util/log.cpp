#include "m2b/util/log.hpp"

#include <fmt/format.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <iterator>
#include <memory>

namespace m2b::log {
namespace {

spdlog::level::level_enum to_spdlog(Level level) noexcept {
  switch (level) {
    case Level::debug:
      return spdlog::level::debug;
    case Level::info:
      return spdlog::level::info;
    case Level::warning:
      return spdlog::level::warn;
    case Level::error:
      return spdlog::level::err;
    case Level::critical:
      return spdlog::level::critical;
  }
  return spdlog::level::info;
}

std::string_view name_of(Level level) noexcept {
  switch (level) {
    case Level::debug:
      return "DEBUG   ";
    case Level::info:
      return "INFO    ";
    case Level::warning:
      return "WARNING ";
    case Level::error:
      return "ERROR   ";
    case Level::critical:
      return "CRITICAL";
  }
  return "?";
}

/// A log is one sink of the whole process by nature; this is the only global of the program.
spdlog::logger& logger() {
  static const std::shared_ptr<spdlog::logger> instance = [] {
    auto made =
        std::make_shared<spdlog::logger>("m2b", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    made->set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %v", spdlog::pattern_time_type::utc);
    made->set_level(spdlog::level::info);
    return made;
  }();
  return *instance;
}

bool is_plain(unsigned char c) {
  return c > 0x20 && c != 0x7F && c != '"' && c != '\\' && c != '=';
}

void append_text(std::string& line, std::string_view text) {
  bool plain = !text.empty();
  for (const char c : text) {
    plain = plain && is_plain(static_cast<unsigned char>(c));
  }
  if (plain) {
    line += text;
    return;
  }
  line += '"';
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      line += '\\';
      line += c;
    } else if (byte < 0x20 || byte == 0x7F) {
      fmt::format_to(std::back_inserter(line), "\\x{:02x}", byte);
    } else {
      line += c;
    }
  }
  line += '"';
}

struct AppendValue {
  std::string& line;

  void operator()(std::string_view text) const { append_text(line, text); }
  void operator()(bool flag) const { line += flag ? "true" : "false"; }
  template <class Number>
  void operator()(Number number) const {
    fmt::format_to(std::back_inserter(line), "{}", number);
  }
};

}  // namespace

void set_level(Level level) noexcept { logger().set_level(to_spdlog(level)); }

bool enabled(Level level) noexcept { return logger().should_log(to_spdlog(level)); }

std::string format_line(Level level, std::string_view area, std::string_view sentence,
                        Fields fields) {
  std::string line;
  line.reserve(160);
  line += name_of(level);
  line += ' ';
  line += area;
  line += ": ";
  line += sentence;
  for (const Field& field : fields) {
    line += ' ';
    line += field.key;
    line += '=';
    std::visit(AppendValue{line}, field.value);
  }
  return line;
}

void write(Level level, std::string_view area, std::string_view sentence, Fields fields) noexcept {
  if (!enabled(level)) {
    return;
  }
  try {
    logger().log(to_spdlog(level), format_line(level, area, sentence, fields));
  } catch (...) {
    // Out of memory or a closed stderr: losing a log line must not lose a picture.
  }
}

}  // namespace m2b::log
