#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace m2b {

/// A large JSON text without the content of its long strings, each of which is checked and replaced
/// by a short mark. simdjson takes up to 15 bytes for each byte of its text; of a picture's message
/// nearly all is one string, which needs no parser (decision 0027).
class Outline {
 public:
  /// More is left than is allowed.
  struct TooLong {};
  /// A long string shows that the text is no JSON; why, for a person.
  struct NotJson {
    std::string detail;
  };
  using Result = std::variant<Outline, TooLong, NotJson>;

  /// At most `max_bytes` may be left. `json` is borrowed.
  [[nodiscard]] static Result of(std::string_view json, std::size_t max_bytes);

  /// JSON exactly if the whole text is, `padding` zero bytes behind it.
  [[nodiscard]] std::string_view json() const noexcept {
    return std::string_view(json_).substr(0, json_.size() - kPaddingBytes);
  }
  static constexpr std::size_t kPaddingBytes = 64;

  /// The text that a string of the outline stands for: that string, or the long one that was there.
  [[nodiscard]] std::string_view text_of(std::string_view string) const;

 private:
  /// A view into the whole text, or a copy where it had escapes.
  using Text = std::variant<std::string_view, std::string>;

  std::string json_;
  std::vector<Text> texts_;
};

}  // namespace m2b
