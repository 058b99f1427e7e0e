#include "m2b/util/ascii.hpp"

#include <algorithm>
#include <cstddef>

namespace m2b {
namespace {

char lower(char byte) noexcept {
  return byte >= 'A' && byte <= 'Z' ? static_cast<char>(byte - 'A' + 'a') : byte;
}

}  // namespace

std::string ascii_lower(std::string_view text) {
  std::string result(text);
  std::ranges::transform(result, result.begin(), lower);
  return result;
}

bool is_ascii_word(std::string_view text, std::string_view lower_word) noexcept {
  return std::ranges::equal(text, lower_word,
                            [](char left, char right) { return lower(left) == right; });
}

std::string_view trimmed(std::string_view text, std::string_view blanks) noexcept {
  const std::size_t begin = text.find_first_not_of(blanks);
  return begin == std::string_view::npos
             ? std::string_view()
             : text.substr(begin, text.find_last_not_of(blanks) - begin + 1);
}

}  // namespace m2b
