#include "decode/payload_text.hpp"

#include <algorithm>
#include <cassert>
#include <cstdint>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "m2b/util/utf8.hpp"

namespace m2b {
namespace {

using namespace std::string_view_literals;

struct ByteOrderMark {
  std::string_view bytes;
  TextEncoding encoding;
};

/// UTF-32's before UTF-16's: FF FE begins both.
constexpr ByteOrderMark kByteOrderMarks[] = {{"\0\0\xFE\xFF"sv, TextEncoding::utf32_be},
                                             {"\xFF\xFE\0\0"sv, TextEncoding::utf32_le},
                                             {"\xFE\xFF"sv, TextEncoding::utf16_be},
                                             {"\xFF\xFE"sv, TextEncoding::utf16_le},
                                             {"\xEF\xBB\xBF"sv, TextEncoding::utf8}};

const ByteOrderMark* find_byte_order_mark(std::string_view payload) noexcept {
  const auto* const found = std::find_if(
      std::begin(kByteOrderMarks), std::end(kByteOrderMarks),
      [payload](const ByteOrderMark& mark) { return payload.starts_with(mark.bytes); });
  return found != std::end(kByteOrderMarks) ? found : nullptr;
}

TextEncoding guess_encoding(std::string_view payload) noexcept {
  const auto is_nul = [payload](std::size_t at) { return payload[at] == '\0'; };
  if (payload.size() >= 4) {
    if (is_nul(0)) return is_nul(1) ? TextEncoding::utf32_be : TextEncoding::utf16_be;
    if (is_nul(1)) {
      return is_nul(2) && is_nul(3) ? TextEncoding::utf32_le : TextEncoding::utf16_le;
    }
  } else if (payload.size() == 2) {
    if (is_nul(0)) return TextEncoding::utf16_be;
    if (is_nul(1)) return TextEncoding::utf16_le;
  }
  return TextEncoding::utf8;
}

std::size_t unit_bytes(TextEncoding encoding) noexcept {
  switch (encoding) {
    case TextEncoding::utf8:
      return 1;
    case TextEncoding::utf16_le:
    case TextEncoding::utf16_be:
      return 2;
    case TextEncoding::utf32_le:
    case TextEncoding::utf32_be:
      return 4;
  }
  assert(false);
  return 1;
}

constexpr char32_t kLastCodePoint = 0x10FFFF;

/// Reads UTF-16 and UTF-32, in whole units.
class CodePoints {
 public:
  CodePoints(std::string_view units, TextEncoding encoding)
      : units_(units),
        unit_bytes_(unit_bytes(encoding)),
        is_big_endian_(encoding == TextEncoding::utf16_be || encoding == TextEncoding::utf32_be) {}

  [[nodiscard]] bool at_end() const noexcept { return at_ == units_.size(); }
  /// Bytes that were read.
  [[nodiscard]] std::size_t offset() const noexcept { return at_; }

  /// A surrogate without its other half comes as it is, as with Python's 'surrogatepass'; in UTF-32
  /// each one does.
  char32_t next() noexcept {
    const char32_t unit = unit_at(at_);
    at_ += unit_bytes_;
    const bool may_pair = unit_bytes_ == 2 && is_high_surrogate(unit) && !at_end();
    if (!may_pair || !is_low_surrogate(unit_at(at_))) return unit;
    const char32_t low = unit_at(at_);
    at_ += unit_bytes_;
    return join_surrogates(unit, low);
  }

 private:
  [[nodiscard]] char32_t unit_at(std::size_t at) const noexcept {
    char32_t unit = 0;
    for (std::size_t number = 0; number < unit_bytes_; ++number) {
      const std::size_t from_top = is_big_endian_ ? number : unit_bytes_ - 1 - number;
      unit = unit << 8U | static_cast<std::uint8_t>(units_[at + from_top]);
    }
    return unit;
  }

  std::string_view units_;
  std::size_t unit_bytes_;
  bool is_big_endian_;
  std::size_t at_ = 0;
};

/// How many bytes the text takes in UTF-8.
std::variant<std::size_t, Fault> measure(std::string_view units, TextEncoding encoding) {
  const std::size_t rest = units.size() % unit_bytes(encoding);
  units.remove_suffix(rest);
  std::size_t bytes = 0;
  for (CodePoints points(units, encoding); !points.at_end();) {
    const std::size_t offset = points.offset();
    const char32_t point = points.next();
    if (point > kLastCodePoint) {
      return Fault{offset,
                   fmt::format("0x{:X} is no character", static_cast<std::uint32_t>(point))};
    }
    bytes += utf8_length(point);
  }
  if (rest != 0) return Fault{units.size(), "the last character is cut off"};
  return bytes;
}

void convert(std::string_view units, TextEncoding encoding, std::string& text,
             const OnConsumed& on_consumed) {
  constexpr std::size_t kBlockBytes = std::size_t{1} << 20U;
  std::size_t consumed = 0;
  for (CodePoints points(units, encoding); !points.at_end();) {
    append_utf8(text, points.next());
    if (points.offset() - consumed >= kBlockBytes || points.at_end()) {
      on_consumed(units.substr(consumed, points.offset() - consumed));
      consumed = points.offset();
    }
  }
}

std::string_view without_trailing_nuls(std::string_view text) noexcept {
  // Nothing found is the largest number, and one more is 0.
  return text.substr(0, text.find_last_not_of('\0') + 1);
}

}  // namespace

std::string_view to_string(TextEncoding encoding) noexcept {
  switch (encoding) {
    case TextEncoding::utf8:
      return "UTF-8";
    case TextEncoding::utf16_le:
      return "UTF-16 (little endian)";
    case TextEncoding::utf16_be:
      return "UTF-16 (big endian)";
    case TextEncoding::utf32_le:
      return "UTF-32 (little endian)";
    case TextEncoding::utf32_be:
      return "UTF-32 (big endian)";
  }
  assert(false);
  return "";
}

TextEncoding detect_encoding(std::string_view payload) noexcept {
  const ByteOrderMark* const mark = find_byte_order_mark(payload);
  return mark != nullptr ? mark->encoding : guess_encoding(payload);
}

std::variant<PayloadText, Fault> PayloadText::of(std::string_view payload,
                                                 const OnConsumed& on_consumed) {
  const ByteOrderMark* const mark = find_byte_order_mark(payload);
  const std::size_t mark_bytes = mark != nullptr ? mark->bytes.size() : 0;
  PayloadText result(mark != nullptr ? mark->encoding : guess_encoding(payload), mark_bytes);
  payload.remove_prefix(mark_bytes);
  if (result.encoding_ == TextEncoding::utf8) {
    result.view_ = without_trailing_nuls(payload);
    return result;
  }
  auto measured = measure(payload, result.encoding_);
  if (auto* const fault = std::get_if<Fault>(&measured)) {
    return Fault{mark_bytes + fault->offset,
                 fmt::format("{}: {}", to_string(result.encoding_), fault->what)};
  }
  result.converted_.reserve(std::get<std::size_t>(measured) + kPaddingBytes);
  convert(payload, result.encoding_, result.converted_, on_consumed);
  result.text_bytes_ = without_trailing_nuls(result.converted_).size();
  result.converted_.append(kPaddingBytes, '\0');
  return result;
}

std::string_view PayloadText::text() const noexcept {
  return encoding_ == TextEncoding::utf8 ? view_
                                         : std::string_view(converted_).substr(0, text_bytes_);
}

std::size_t PayloadText::payload_offset(std::size_t text_offset) const noexcept {
  if (encoding_ == TextEncoding::utf8) return mark_bytes_ + text_offset;
  constexpr std::uint8_t kFirstLeadOfTwoUnits = 0xF0;  // four bytes of UTF-8: a pair of surrogates
  const bool is_utf16 = unit_bytes(encoding_) == 2;
  std::size_t offset = mark_bytes_;
  for (const char character : text().substr(0, text_offset)) {
    const auto byte = static_cast<std::uint8_t>(character);
    const bool is_continuation = (byte & 0xC0U) == 0x80U;
    if (is_continuation) continue;
    const std::size_t units = is_utf16 && byte >= kFirstLeadOfTwoUnits ? 2 : 1;
    offset += units * unit_bytes(encoding_);
  }
  return offset;
}

}  // namespace m2b
