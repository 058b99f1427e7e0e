#include "decode/data_kind.hpp"

#include <algorithm>
#include <array>
#include <cstddef>

#include <fmt/format.h>

#include "decode/base64.hpp"
#include "m2b/object/content_type.hpp"
#include "m2b/util/ascii.hpp"

namespace m2b {
namespace {

using namespace std::string_view_literals;

struct Kind {
  std::string_view mark;  // a content type, or the first bytes
  std::string_view name;
};

constexpr std::array kMediaKinds{
    Kind{"image/jpeg", "a JPEG image"},  Kind{"image/png", "a PNG image"},
    Kind{"image/gif", "a GIF image"},    Kind{"image/bmp", "a BMP image"},
    Kind{"image/tiff", "a TIFF image"},  Kind{"image/webp", "a WebP image"},
    Kind{"image/avif", "an AVIF image"}, Kind{"image/heic", "a HEIC image"},
    Kind{"image/heif", "a HEIF image"},  Kind{"video/mp4", "an MP4 video"},
    Kind{"audio/wav", "WAV audio"}};

constexpr std::array kOtherKinds{Kind{"\x1F\x8B\x08"sv, "gzip data"},
                                 Kind{"\x78\x01"sv, "zlib data"},
                                 Kind{"\x78\x9C"sv, "zlib data"},
                                 Kind{"\x78\xDA"sv, "zlib data"},
                                 Kind{"PK\x03\x04"sv, "a ZIP archive"},
                                 Kind{"BZh"sv, "bzip2 data"},
                                 Kind{"\xFD"
                                      "7zXZ\0"sv,
                                      "xz data"},
                                 Kind{"\x28\xB5\x2F\xFD"sv, "Zstandard data"},
                                 Kind{"\x04\x22\x4D\x18"sv, "LZ4 data"},
                                 Kind{"%PDF-"sv, "a PDF document"}};

constexpr std::array kTextKinds{Kind{"data:", "a data: URL"},
                                Kind{"<?xml", "an XML document"},
                                Kind{"<!doctype html", "an HTML document"},
                                Kind{"<html", "an HTML document"},
                                Kind{"<svg", "an SVG image"},
                                Kind{"b'", "Python's b'...' notation"}};

std::string_view describe_binary(std::string_view data) {
  const std::string_view type = content_type(data);
  for (const Kind& kind : kMediaKinds) {
    if (kind.mark == type) return kind.name;
  }
  for (const Kind& kind : kOtherKinds) {
    if (data.starts_with(kind.mark)) return kind.name;
  }
  return {};
}

/// The bytes that the start of a base64 text stands for.
std::string decode_start(std::string_view text) {
  constexpr std::size_t kCharacters = 64;
  text = text.substr(0, std::min(kCharacters, text.size()) / 4 * 4);
  return decode_base64(text).value_or("");
}

}  // namespace

std::string describe_data(std::string_view data) {
  if (const std::string_view kind = describe_binary(data); !kind.empty()) return std::string(kind);
  const std::string_view text =
      data.substr(std::min(data.find_first_not_of(" \t\r\n"), data.size()));
  for (const Kind& kind : kTextKinds) {
    if (is_ascii_word(text.substr(0, kind.mark.size()), kind.mark)) return std::string(kind.name);
  }
  if (const std::string_view kind = describe_binary(decode_start(text)); !kind.empty()) {
    return fmt::format("the base64 text of {}", kind);
  }
  return {};
}

}  // namespace m2b
