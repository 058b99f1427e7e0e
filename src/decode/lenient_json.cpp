#include "decode/lenient_json.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <system_error>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "decode/json_string.hpp"
#include "m2b/util/utf8.hpp"

namespace m2b {
namespace {

/// A number that JSON lacks, and the one that stands for it. In a rewritten text there are no
/// others besides kWideNumber and integers of 64 bits.
struct NamedNumber {
  std::string_view name;
  std::string_view replacement;
  double value;
};

constexpr std::array kNamedNumbers{NamedNumber{"NaN", "0.1", 0.1},
                                   NamedNumber{"Infinity", "0.2", 0.2},
                                   NamedNumber{"-Infinity", "0.3", 0.3}};
constexpr std::string_view kWideNumber = "0.0";

constexpr std::string_view kJsonWhiteSpace = " \t\n\r";

bool is_digit(char character) { return character >= '0' && character <= '9'; }

/// Walks over a text and tells `visitor` of what is not as simdjson takes it:
/// on_number(token, at), on_named_number(number, at), on_string(content, at, has_lone_surrogate),
/// where `at` is the offset of the token, a string's without its quote. The first of them that
/// returns false ends the walk.
template <class Visitor>
class JsonWalk {
 public:
  JsonWalk(std::string_view text, Visitor& visitor) : text_(text), visitor_(visitor) {}

  std::optional<Fault> run() {
    while (!is_over_) {
      at_ = std::min(text_.find_first_not_of(kJsonWhiteSpace, at_), text_.size());
      if (at_ == text_.size() && expected_ == Expected::end) break;
      take_token();
    }
    return std::move(fault_);
  }

 private:
  enum class Expected { value, value_or_close, name, name_or_close, colon, comma_or_close, end };

  void take_token() {
    const char next = at_ < text_.size() ? text_[at_] : '\0';
    switch (expected_) {
      case Expected::value_or_close:
      case Expected::value:
        if (next == ']' && expected_ == Expected::value_or_close) return close();
        return take_value(next);
      case Expected::name_or_close:
      case Expected::name:
        if (next == '}' && expected_ == Expected::name_or_close) return close();
        if (next != '"') return refuse_token();
        return take_string(Expected::colon);
      case Expected::colon:
        if (next != ':') return refuse_token();
        ++at_;
        expected_ = Expected::value;
        return;
      case Expected::comma_or_close:
        if (next == (is_in_object() ? '}' : ']')) return close();
        if (next != ',') return refuse_token();
        ++at_;
        expected_ = is_in_object() ? Expected::name : Expected::value;
        return;
      case Expected::end:
        return refuse_token();
    }
  }

  void take_value(char first) {
    if (first == '{' || first == '[') return open(first);
    if (first == '"') return take_string(behind_value());
    for (const std::string_view literal : {"null", "true", "false"}) {
      if (text_.substr(at_).starts_with(literal)) return end_value(literal.size());
    }
    for (const NamedNumber& number : kNamedNumbers) {
      if (text_.substr(at_).starts_with(number.name)) {
        is_over_ = !visitor_.on_named_number(number, at_);
        return end_value(number.name.size());
      }
    }
    const std::size_t length = number_length();
    if (length == 0) return refuse_token();
    is_over_ = !visitor_.on_number(text_.substr(at_, length), at_);
    end_value(length);
  }

  /// RFC 8259, section 6. As much as makes a number: of "01" the zero.
  [[nodiscard]] std::size_t number_length() const {
    std::size_t end = at_;
    const auto character = [&](std::size_t at) { return at < text_.size() ? text_[at] : '\0'; };
    const auto skip_digits = [&](std::size_t at) {
      while (is_digit(character(at))) ++at;
      return at;
    };
    if (character(end) == '-') ++end;
    if (!is_digit(character(end))) return 0;
    end = character(end) == '0' ? end + 1 : skip_digits(end);
    if (character(end) == '.' && is_digit(character(end + 1))) end = skip_digits(end + 1);
    if (character(end) == 'e' || character(end) == 'E') {
      const bool has_sign = character(end + 1) == '+' || character(end + 1) == '-';
      const std::size_t digits = end + (has_sign ? 2 : 1);
      if (is_digit(character(digits))) end = skip_digits(digits);
    }
    return end - at_;
  }

  void take_string(Expected behind) {
    const std::size_t begin = at_ + 1;
    bool has_lone_surrogate = false;
    std::size_t end = begin;
    for (;;) {
      end += plain_json_length(text_.substr(end));
      if (end == text_.size()) return refuse(at_, "the string that begins here is never closed");
      if (text_[end] == '"') break;
      const JsonCharacter character = first_json_character(text_.substr(end));
      if (character.bytes == 0) return refuse(end, explain_character(end));
      has_lone_surrogate = has_lone_surrogate || is_surrogate(character.code);
      end += character.bytes;
    }
    is_over_ = !visitor_.on_string(text_.substr(begin, end - begin), begin, has_lone_surrogate);
    at_ = end + 1;
    expected_ = behind;
  }

  /// Why the byte at that place may not stand in a string.
  [[nodiscard]] std::string explain_character(std::size_t at) const {
    const char character = text_[at];
    const auto byte = static_cast<std::uint8_t>(character);
    if (character == '\\') {
      return at + 1 < text_.size() && text_[at + 1] == 'u'
                 ? R"(\u without four hexadecimal digits in a string)"
                 : "an escape that JSON does not have in a string";
    }
    if (character == '\n' || character == '\r') {
      return fmt::format("a line break (0x{:02X}) in a string, where JSON needs \\{}", byte,
                         character == '\n' ? 'n' : 'r');
    }
    if (byte < ' ') return fmt::format("the control character 0x{:02X} in a string", byte);
    return fmt::format("the byte 0x{:02X} is not UTF-8", byte);
  }

  void open(char bracket) {
    if (open_.size() == kMaxJsonDepth && !is_empty(bracket)) {
      return refuse(
          at_, fmt::format("more than {} arrays and objects within one another", kMaxJsonDepth));
    }
    open_.push_back(bracket == '{');
    expected_ = bracket == '{' ? Expected::name_or_close : Expected::value_or_close;
    ++at_;
  }

  /// Whether the array or object that begins here has nothing in it.
  [[nodiscard]] bool is_empty(char bracket) const {
    const std::size_t next = text_.find_first_not_of(kJsonWhiteSpace, at_ + 1);
    return next != std::string_view::npos && text_[next] == (bracket == '{' ? '}' : ']');
  }

  void close() {
    open_.pop_back();
    end_value(1);
  }

  void end_value(std::size_t bytes) {
    at_ += bytes;
    expected_ = behind_value();
  }

  [[nodiscard]] Expected behind_value() const {
    return open_.empty() ? Expected::end : Expected::comma_or_close;
  }
  [[nodiscard]] bool is_in_object() const { return !open_.empty() && open_.back(); }

  void refuse(std::size_t at, std::string what) {
    fault_ = Fault{at, std::move(what)};
    is_over_ = true;
  }

  void refuse_token() {
    refuse(at_, fmt::format("expected {}, found {}", describe_expected(), describe_found()));
  }

  [[nodiscard]] std::string_view describe_expected() const {
    switch (expected_) {
      case Expected::value:
        return "a value";
      case Expected::value_or_close:
        return "a value or ']'";
      case Expected::name:
        return "a field name in double quotes";
      case Expected::name_or_close:
        return "a field name in double quotes or '}'";
      case Expected::colon:
        return "':'";
      case Expected::comma_or_close:
        return is_in_object() ? "',' or '}'" : "',' or ']'";
      case Expected::end:
        return "the end of the text";
    }
    return "";
  }

  [[nodiscard]] std::string describe_found() const {
    if (at_ == text_.size()) return "the end of the text";
    const auto byte = static_cast<std::uint8_t>(text_[at_]);
    const bool is_visible = byte > ' ' && byte < 0x7F;
    return is_visible ? fmt::format("'{}'", text_[at_]) : fmt::format("the byte 0x{:02X}", byte);
  }

  std::string_view text_;
  Visitor& visitor_;
  std::size_t at_ = 0;
  Expected expected_ = Expected::value;
  std::vector<bool> open_;  // true: an object, false: an array
  bool is_over_ = false;
  std::optional<Fault> fault_;
};

struct NothingToDo {
  static bool on_number(std::string_view /*token*/, std::size_t /*at*/) { return true; }
  static bool on_named_number(const NamedNumber& /*number*/, std::size_t /*at*/) { return true; }
  static bool on_string(std::string_view /*content*/, std::size_t /*at*/, bool /*has_lone*/) {
    return true;
  }
};

template <class Integer>
bool fits(std::string_view token) {
  Integer value = 0;
  const char* const end = token.data() + token.size();
  const auto [rest, error] = std::from_chars(token.data(), end, value);
  return error == std::errc() && rest == end;
}

/// Collects the text with what is replaced in it.
class Rewriting {
 public:
  Rewriting(std::string_view text, std::size_t max_bytes, StringMarks& marks)
      : text_(text), max_bytes_(max_bytes), marks_(marks), are_marks_known_(!marks.empty()) {
    result_.reserve(std::min(text.size(), max_bytes));
  }

  bool on_number(std::string_view token, std::size_t at) {
    if (fits<std::int64_t>(token) || fits<std::uint64_t>(token)) return true;
    return replace(at, token.size(), kWideNumber);
  }
  bool on_named_number(const NamedNumber& number, std::size_t at) {
    return replace(at, number.name.size(), number.replacement);
  }
  bool on_string(std::string_view content, std::size_t at, bool has_lone_surrogate) {
    const bool looks_like_mark = !are_marks_known_ && StringMarks::could_be_mark(content);
    if (!has_lone_surrogate && !looks_like_mark) return true;
    return replace(at - 1, content.size() + 2, marks_.add(unescape_json(content).value()));
  }

  /// With the rest of the text behind it; nothing where there is no room.
  std::optional<std::string> finish() {
    if (!add(text_.substr(copied_))) return std::nullopt;
    return std::move(result_);
  }

 private:
  bool replace(std::size_t at, std::size_t bytes, std::string_view replacement) {
    const bool done = add(text_.substr(copied_, at - copied_)) && add(replacement);
    copied_ = at + bytes;
    return done;
  }
  bool add(std::string_view part) {
    has_room_ = has_room_ && part.size() <= max_bytes_ - result_.size();
    if (has_room_) result_ += part;
    return has_room_;
  }

  std::string_view text_;
  std::size_t max_bytes_;
  StringMarks& marks_;
  bool are_marks_known_;  // whatever looks like a mark is one
  std::string result_;
  std::size_t copied_ = 0;
  bool has_room_ = true;
};

}  // namespace

std::optional<Fault> find_json_fault(std::string_view text) {
  NothingToDo visitor;
  return JsonWalk(text, visitor).run();
}

std::variant<StrictJson, JsonTooLong, Fault> to_strict_json(std::string_view text,
                                                            std::size_t max_bytes,
                                                            StringMarks& marks) {
  Rewriting rewriting(text, max_bytes, marks);
  if (auto fault = JsonWalk(text, rewriting).run()) return *std::move(fault);
  auto result = rewriting.finish();
  if (!result) return JsonTooLong{};
  return StrictJson{*std::move(result)};
}

std::string_view describe_rewritten_number(double number) noexcept {
  for (const NamedNumber& each : kNamedNumbers) {
    if (each.value == number) return each.name;
  }
  return "a number that is no 64-bit integer";
}

}  // namespace m2b
