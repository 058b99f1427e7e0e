#pragma once

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

#include "m2b/object/metadata.hpp"
#include "m2b/object/object.hpp"
#include "m2b/util/utf8.hpp"
#include "m2b/util/visible.hpp"

/// What fuzzers ask of a module beyond not crashing.
namespace m2b::fuzz {

/// Stands in for secrets, which must not be printed. It begins with no hexadecimal digit: what is
/// not fit to be printed is escaped as `\x9c`, and with the input behind that made a canary of
/// "cAnArY".
inline constexpr const char* kCanary = "kAnArY";

/// Ends the process where a promise does not hold; libFuzzer keeps the input.
inline void require(bool holds, const char* promise) {
  if (!holds) {
    std::fprintf(stderr, "broken promise: %s\n", promise);
    std::abort();
  }
}

/// A copy on the heap without a byte to spare, so that AddressSanitizer sees each one read too
/// many.
class Exact {
 public:
  explicit Exact(std::string_view text)
      : bytes_(std::make_unique<char[]>(text.size())), size_(text.size()) {
    std::copy(text.begin(), text.end(), bytes_.get());
  }
  [[nodiscard]] std::string_view view() const noexcept { return {bytes_.get(), size_}; }

 private:
  std::unique_ptr<char[]> bytes_;
  std::size_t size_;
};

inline bool is_visible_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char byte) { return byte > ' ' && byte < 0x7F; });
}

/// One line that neither moves a terminal's cursor nor turns its text.
inline bool is_one_visible_line(std::string_view text) {
  while (!text.empty()) {
    if (unfit_length(text) != 0) return false;
    text.remove_prefix(utf8_character_length(text));
  }
  return true;
}

/// What every key keeps to, whatever it was made from.
inline void check_key(std::string_view key) {
  require(is_utf8(key), "a key is UTF-8");
  require(!key.empty() && key.size() <= 1024, "a key has 1 to 1,024 bytes");
  require(key.find('\0') == std::string_view::npos, "a key has no NUL");
  require(std::none_of(key.begin(), key.end(),
                       [](char byte) { return (byte >= 0 && byte < ' ') || byte == 0x7F; }),
          "a key has no control character");
  for (std::string_view rest = key;;) {
    const std::size_t slash = rest.find('/');
    const std::string_view segment = rest.substr(0, slash);
    require(!segment.empty() && segment != "." && segment != ".." && segment.size() <= 255,
            "a key cannot leave its folder");
    if (slash == std::string_view::npos) break;
    rest.remove_prefix(slash + 1);
  }
}

inline void check_metadata(const Metadata& metadata) {
  std::size_t bytes = 0;
  for (const auto& [name, value] : metadata) {
    require(is_visible_ascii(name) && !name.empty(), "a metadata name is visible ASCII");
    require(name.find(':') == std::string::npos, "a metadata name does not end a header's name");
    require(is_visible_ascii(value) && !value.empty(), "a metadata value is visible ASCII");
    bytes += std::string_view("x-amz-meta-").size() + name.size() + value.size();
  }
  require(bytes <= kMaxMetadataBytes, "metadata fits into what the store takes");
}

}  // namespace m2b::fuzz
