#pragma once

#include <cstddef>
#include <span>
#include <string_view>

namespace m2b {

/// Decodes the beginning of a text, as far as the processor's wide instructions get, and returns
/// how many characters that were: a multiple of four, each of the alphabet of RFC 4648 section 4.
/// The rest, with all that is wrong in it, is for a decoder that judges. None at all on a processor
/// without AVX2. `bytes` has room for the whole text's, and may be written to beyond what is
/// decoded.
[[nodiscard]] std::size_t decode_base64_blocks(std::string_view text, std::span<char> bytes);

}  // namespace m2b
