#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace m2b {

/// The content of strings that were taken out of a JSON text. A short mark stands in the text for
/// each. A mark begins with U+0000; every other string that begins so gets a mark as well
/// (could_be_mark()), so that no string of the text is taken for a mark.
class StringMarks {
 public:
  /// A view into the text that the string was taken from, or a copy without its escapes. Lone
  /// surrogates stand in it as three bytes each, as append_utf8() writes them.
  using Text = std::variant<std::string_view, std::string>;

  /// Keeps the text; returns its mark, a JSON string with its quotes.
  std::string add(Text text);

  /// The text that a string stands for: itself, or the one that its mark stands for. Lives until
  /// the next call of a function that is not const.
  [[nodiscard]] std::string_view text_of(std::string_view string) const;

  /// `content` is what stands between the quotes of a JSON string.
  [[nodiscard]] static bool could_be_mark(std::string_view content) noexcept;

  [[nodiscard]] bool empty() const noexcept { return texts_.empty(); }

 private:
  std::vector<Text> texts_;
};

}  // namespace m2b
