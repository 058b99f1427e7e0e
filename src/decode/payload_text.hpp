#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <variant>

#include "decode/fault.hpp"

namespace m2b {

/// Is told the parts of a payload that are not needed any more, in order.
using OnConsumed = std::function<void(std::string_view)>;

enum class TextEncoding : unsigned char { utf8, utf16_le, utf16_be, utf32_le, utf32_be };

/// "UTF-16 (little endian)".
[[nodiscard]] std::string_view to_string(TextEncoding encoding) noexcept;

/// The encoding as Python's json.detect_encoding() tells it: by the byte order mark, or by the NULs
/// among the first four bytes.
[[nodiscard]] TextEncoding detect_encoding(std::string_view payload) noexcept;

/// A payload's text in UTF-8, as Python's json.loads() reads bytes: without byte order mark,
/// converted from UTF-16 and UTF-32. Trailing NULs are left out as well: C programs send the one
/// that ends their string.
///
/// Text that was UTF-8 is a view into the payload and is not checked. Text that was converted is
/// UTF-8 but for lone surrogates, which are three bytes each (append_utf8()). It takes at most one
/// and a half times the payload's bytes.
class PayloadText {
 public:
  /// `payload` is borrowed. `on_consumed` gets what has been converted, and nothing where the
  /// payload is refused.
  [[nodiscard]] static std::variant<PayloadText, Fault> of(std::string_view payload,
                                                           const OnConsumed& on_consumed);

  /// At least kPaddingBytes bytes behind a converted text may be read. Behind other text stands the
  /// rest of the payload and what the payload has behind it.
  [[nodiscard]] std::string_view text() const noexcept;
  static constexpr std::size_t kPaddingBytes = 64;

  [[nodiscard]] TextEncoding encoding() const noexcept { return encoding_; }

  /// Where the byte of the text at `text_offset` came from.
  [[nodiscard]] std::size_t payload_offset(std::size_t text_offset) const noexcept;

 private:
  PayloadText(TextEncoding encoding, std::size_t mark_bytes)
      : encoding_(encoding), mark_bytes_(mark_bytes) {}

  TextEncoding encoding_;
  std::size_t mark_bytes_;      // of the byte order mark
  std::string_view view_;       // UTF-8
  std::string converted_;       // UTF-16 and UTF-32, with what is behind the text
  std::size_t text_bytes_ = 0;  // of `converted_`
};

}  // namespace m2b
