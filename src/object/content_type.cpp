#include "m2b/object/content_type.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>

namespace m2b {
namespace {

using namespace std::string_view_literals;

constexpr std::string_view kUnknown = "application/octet-stream";

struct Prefix {
  std::string_view magic;
  std::string_view type;
};

constexpr std::array kPrefixes{
    Prefix{"\xFF\xD8\xFF"sv, "image/jpeg"},
    Prefix{"\x89PNG\r\n\x1A\n"sv, "image/png"},
    Prefix{"GIF87a"sv, "image/gif"},
    Prefix{"GIF89a"sv, "image/gif"},
    Prefix{"II\x2A\x00"sv, "image/tiff"},
    Prefix{"MM\x00\x2A"sv, "image/tiff"},
    Prefix{"II\x2B\x00\x08\x00"sv, "image/tiff"},  // BigTIFF
    Prefix{"MM\x00\x2B\x00\x08"sv, "image/tiff"},
};

/// "BM" alone is two letters that any text may begin with: the reserved field must be zero and the
/// size of the second header a known one.
bool is_bmp(std::string_view data) {
  if (data.size() < 18 || !data.starts_with("BM") || data.substr(6, 4) != "\0\0\0\0"sv) {
    return false;
  }
  if (data.substr(15, 3) != "\0\0\0"sv) return false;
  const auto header_size = static_cast<std::uint8_t>(data[14]);
  constexpr std::array<std::uint8_t, 7> kKnownSizes{12, 40, 52, 56, 64, 108, 124};
  return std::find(kKnownSizes.begin(), kKnownSizes.end(), header_size) != kKnownSizes.end();
}

std::string_view riff_type(std::string_view data) {
  const std::string_view form = data.substr(8, 4);
  if (form == "WEBP") return "image/webp";
  if (form == "WAVE") return "audio/wav";
  return kUnknown;
}

bool is_one_of(std::string_view text, std::initializer_list<std::string_view> candidates) {
  return std::find(candidates.begin(), candidates.end(), text) != candidates.end();
}

std::string_view brand_type(std::string_view brand) {
  if (is_one_of(brand, {"avif", "avis"})) return "image/avif";
  if (is_one_of(brand, {"heic", "heix", "heim", "heis", "hevc", "hevx"})) return "image/heic";
  if (is_one_of(brand, {"isom", "iso2", "iso3", "iso4", "iso5", "iso6", "mp41", "mp42", "avc1",
                        "dash", "M4V "})) {
    return "video/mp4";
  }
  return kUnknown;
}

/// ISO/IEC 14496-12: size, "ftyp", major brand, minor version, compatible brands. The major brand
/// decides; the general one of HEIF ("mif1") leaves it to the first compatible brand we know.
std::string_view iso_media_type(std::string_view data) {
  const std::string_view major = data.substr(8, 4);
  if (!is_one_of(major, {"mif1", "msf1"})) return brand_type(major);

  const auto byte = [data](std::size_t at) {
    return std::size_t{static_cast<std::uint8_t>(data[at])};
  };
  const std::size_t box = byte(0) << 24U | byte(1) << 16U | byte(2) << 8U | byte(3);
  const std::size_t end = std::min(box, data.size());
  for (std::size_t at = 16; at + 4 <= end; at += 4) {
    const std::string_view type = brand_type(data.substr(at, 4));
    if (type.starts_with("image/")) return type;
  }
  return "image/heif";
}

}  // namespace

std::string_view content_type(std::string_view data) noexcept {
  for (const Prefix& prefix : kPrefixes) {
    if (data.starts_with(prefix.magic)) return prefix.type;
  }
  if (is_bmp(data)) return "image/bmp";
  if (data.size() < 12) return kUnknown;
  if (data.starts_with("RIFF")) return riff_type(data);
  if (data.substr(4, 4) == "ftyp") return iso_media_type(data);
  return kUnknown;
}

}  // namespace m2b
