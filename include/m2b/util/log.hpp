#pragma once

#include <chrono>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <thread>
#include <type_traits>
#include <variant>

/// One line an event on stderr: time, level, area, a constant sentence, then facts as `key=value`,
/// or all of it as one JSON object. Payloads and secrets are never facts. All functions may be
/// called from any thread and do not throw.
///
/// Nobody ever waits for whoever reads stderr: what a full pipe does not take is kept, up to a
/// mebibyte; what is over is dropped, counted, and told of by a line as soon as that can be
/// written.
///
/// What a level means: error = a person must act, warning = something failed and is being retried
/// or set aside, info = the life of the process, debug = the way of each message.
namespace m2b::log {

enum class Level { debug, info, warning, error, critical };

/// What a line looks like.
enum class Format {
  text,  ///< `TIME LEVEL area: sentence key=value …`
  json  ///< `{"time":…,"level":…,"area":…,"message":…,facts…}`, the facts with their types;
        ///< valid UTF-8 whatever they are
};

/// One fact of a line; its key is none of time, level, area and message. Text is borrowed for the
/// duration of the call, quoted where it holds blanks, and its control characters are escaped:
/// nothing that a client sends can forge a line.
struct Field {
  using Value = std::variant<std::string_view, std::int64_t, std::uint64_t, double, bool>;

  Field(std::string_view key_text, std::string_view text) : key(key_text), value(text) {}
  Field(std::string_view key_text, const char* text)
      : key(key_text), value(std::string_view(text)) {}
  Field(std::string_view key_text, const std::string& text)
      : key(key_text), value(std::string_view(text)) {}
  template <class Number>
  requires std::is_arithmetic_v<Number> Field(std::string_view key_text, Number number)
      : key(key_text), value(widen(number)) {}

  std::string_view key;
  Value value;

 private:
  template <class Number>
  static Value widen(Number number) {
    if constexpr (std::is_same_v<Number, bool>) {
      return number;
    } else if constexpr (std::is_floating_point_v<Number>) {
      return static_cast<double>(number);
    } else if constexpr (std::is_signed_v<Number>) {
      return static_cast<std::int64_t>(number);
    } else {
      return static_cast<std::uint64_t>(number);
    }
  }
};

using Fields = std::initializer_list<Field>;

/// Sets what is written from now on. Called once by main; the default is info.
void set_level(Level level) noexcept;

/// Sets the form of the lines from now on; the default is text.
void set_format(Format format) noexcept;

/// True when lines of this level are written: guard for facts that cost something to collect.
[[nodiscard]] bool enabled(Level level) noexcept;

void write(Level level, std::string_view area, std::string_view sentence, Fields fields) noexcept;

inline void debug(std::string_view area, std::string_view sentence, Fields fields = {}) noexcept {
  write(Level::debug, area, sentence, fields);
}
inline void info(std::string_view area, std::string_view sentence, Fields fields = {}) noexcept {
  write(Level::info, area, sentence, fields);
}
inline void warn(std::string_view area, std::string_view sentence, Fields fields = {}) noexcept {
  write(Level::warning, area, sentence, fields);
}
inline void error(std::string_view area, std::string_view sentence, Fields fields = {}) noexcept {
  write(Level::error, area, sentence, fields);
}

/// Lines that were dropped since the start.
[[nodiscard]] std::uint64_t dropped_lines() noexcept;

/// A thread that writes what is kept as soon as the pipe has room for it; without one that waits
/// for the next line. Owned and joined by the caller; std::system_error where no thread can be had.
[[nodiscard]] std::jthread start_writer();

/// At the end: waits so long for a reader that is slow.
void flush(std::chrono::milliseconds patience) noexcept;

/// What comes after the time of a line; split from write() so that tests can see it. As JSON it is
/// the members of the object behind the time.
[[nodiscard]] std::string format_line(Level level, std::string_view area, std::string_view sentence,
                                      Fields fields);
[[nodiscard]] std::string format_json(Level level, std::string_view area, std::string_view sentence,
                                      Fields fields);

}  // namespace m2b::log
