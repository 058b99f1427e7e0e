#include "decode/string_marks.hpp"

#include <charconv>
#include <system_error>
#include <utility>

#include <fmt/format.h>

namespace m2b {
namespace {

// A mark as it stands in JSON, and as a parser gives it.
constexpr std::string_view kEscapedNul = R"(\u0000)";
constexpr std::string_view kEscapedMark = R"(\u0000string-)";
constexpr std::string_view kMark{"\0string-", 8};

}  // namespace

std::string StringMarks::add(Text text) {
  texts_.push_back(std::move(text));
  return fmt::format("\"{}{}\"", kEscapedMark, texts_.size() - 1);
}

std::string_view StringMarks::text_of(std::string_view string) const {
  if (!string.starts_with(kMark)) return string;
  const std::string_view digits = string.substr(kMark.size());
  const char* const end = digits.data() + digits.size();
  std::size_t index = 0;
  const auto [rest, error] = std::from_chars(digits.data(), end, index);
  if (error != std::errc() || rest != end || index >= texts_.size()) return string;
  return std::visit([](const auto& text) { return std::string_view(text); }, texts_[index]);
}

bool StringMarks::could_be_mark(std::string_view content) noexcept {
  return content.starts_with(kEscapedNul);
}

}  // namespace m2b
