#include "m2b/util/log.hpp"

#include <fmt/format.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <iterator>
#include <memory>
#include <mutex>
#include <stop_token>
#include <thread>

#include "m2b/util/thread.hpp"
#include "m2b/util/utf8.hpp"
#include "m2b/util/visible.hpp"
#include "util/log_output.hpp"

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
      return "DEBUG";
    case Level::info:
      return "INFO";
    case Level::warning:
      return "WARNING";
    case Level::error:
      return "ERROR";
    case Level::critical:
      return "CRITICAL";
  }
  return "?";
}

constexpr const char* kTextPattern = "%Y-%m-%dT%H:%M:%S.%eZ %v";
constexpr const char* kJsonPattern = R"({"time":"%Y-%m-%dT%H:%M:%S.%eZ",%v})";  // RFC 3339

/// Of the one log that there is, as its sink.
std::atomic<Format> chosen_format = Format::text;

/// A log is one sink of the whole process by nature; this is the only global of the program, with
/// its form.
LogOutput& output() {
  static LogOutput instance(STDERR_FILENO);
  return instance;
}

/// spdlog's own sink for stderr waits for whoever reads it.
class OutputSink final : public spdlog::sinks::base_sink<std::mutex> {
 private:
  void sink_it_(const spdlog::details::log_msg& message) override {
    spdlog::memory_buf_t line;
    formatter_->format(message, line);
    output().write({line.data(), line.size()});
  }
  void flush_() override {}
};

spdlog::logger& logger() {
  static const std::shared_ptr<spdlog::logger> instance = [] {
    auto made = std::make_shared<spdlog::logger>("m2b", std::make_shared<OutputSink>());
    made->set_pattern(kTextPattern, spdlog::pattern_time_type::utc);
    made->set_level(spdlog::level::info);
    return made;
  }();
  return *instance;
}

/// Quoted where it has to be; nothing in it ends the line or moves a terminal's cursor.
void append_text(std::string& line, std::string_view text) {
  const std::string shown = visible(text, "\"\\");
  const bool plain = !text.empty() && shown.size() == text.size() &&
                     text.find_first_of(" =") == std::string_view::npos;
  line += plain ? shown : '"' + shown + '"';
}

/// A string of JSON (RFC 8259): characters as they are, what is unfit to be seen escaped, and
/// U+FFFD for each byte that is part of none.
void append_json_text(std::string& line, std::string_view text) {
  constexpr std::string_view kReplacement = "\xEF\xBF\xBD";
  line += '"';
  while (!text.empty()) {
    const std::size_t length = utf8_character_length(text);
    if (length == 0) {
      line += kReplacement;
    } else if (unfit_length(text) > 0) {
      line += json_escape(text.substr(0, length));
    } else {
      if (text.front() == '"' || text.front() == '\\') {
        line += '\\';
      }
      line += text.substr(0, length);
    }
    text.remove_prefix(std::max<std::size_t>(length, 1));
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

struct AppendJson {
  std::string& line;

  void operator()(std::string_view text) const { append_json_text(line, text); }
  void operator()(bool flag) const { line += flag ? "true" : "false"; }
  void operator()(double number) const {
    if (std::isfinite(number)) {
      fmt::format_to(std::back_inserter(line), "{}", number);
    } else {
      line += "null";
    }
  }
  template <class Integer>
  void operator()(Integer number) const {
    fmt::format_to(std::back_inserter(line), "{}", number);
  }
};

}  // namespace

void set_level(Level level) noexcept { logger().set_level(to_spdlog(level)); }

void set_format(Format format) noexcept {
  try {
    logger().set_pattern(format == Format::json ? kJsonPattern : kTextPattern,
                         spdlog::pattern_time_type::utc);
    chosen_format = format;
  } catch (...) {
    // No memory: the lines stay as they are.
  }
}

bool enabled(Level level) noexcept { return logger().should_log(to_spdlog(level)); }

std::string format_line(Level level, std::string_view area, std::string_view sentence,
                        Fields fields) {
  std::string line;
  line.reserve(160);
  fmt::format_to(std::back_inserter(line), "{:<8} ", name_of(level));
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

std::string format_json(Level level, std::string_view area, std::string_view sentence,
                        Fields fields) {
  std::string line;
  line.reserve(200);
  line += "\"level\":\"";
  line += name_of(level);
  line += "\",\"area\":";
  append_json_text(line, area);
  line += ",\"message\":";
  append_json_text(line, sentence);
  for (const Field& field : fields) {
    line += ',';
    append_json_text(line, field.key);
    line += ':';
    std::visit(AppendJson{line}, field.value);
  }
  return line;
}

namespace {

void emit(Level level, std::string_view area, std::string_view sentence, Fields fields) {
  logger().log(to_spdlog(level), chosen_format.load(std::memory_order_relaxed) == Format::json
                                     ? format_json(level, area, sentence, fields)
                                     : format_line(level, area, sentence, fields));
}

void tell_of_dropped_lines() noexcept {
  try {
    if (const std::uint64_t count = enabled(Level::warning) ? output().take_untold() : 0) {
      emit(Level::warning, "log", "lines dropped", {{"count", count}});
    }
  } catch (...) {
    // As below.
  }
}

}  // namespace

void write(Level level, std::string_view area, std::string_view sentence, Fields fields) noexcept {
  if (!enabled(level)) {
    return;
  }
  tell_of_dropped_lines();
  try {
    emit(level, area, sentence, fields);
  } catch (...) {
    // Out of memory: losing a log line must not lose a picture.
  }
}

std::uint64_t dropped_lines() noexcept { return output().dropped(); }

std::jthread start_writer() {
  return start_thread("log", [](const std::stop_token& stop) {
    output().drain(stop, [] { tell_of_dropped_lines(); });
  });
}

void flush(std::chrono::milliseconds patience) noexcept { output().flush(patience); }

}  // namespace m2b::log
