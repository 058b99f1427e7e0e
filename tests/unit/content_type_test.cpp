#include "m2b/object/content_type.hpp"

#include <doctest/doctest.h>

#include <string>
#include <string_view>

namespace {

using m2b::content_type;
using namespace std::string_literals;
using namespace std::string_view_literals;

TEST_SUITE("content type") {
  /// The start of an ISO media file: size, "ftyp", major brand, version, compatible brands.
  std::string iso_media(std::string_view major, std::string_view compatible = "") {
    std::string data = "\0\0\0"s;
    data += static_cast<char>(16 + compatible.size());
    return data.append("ftyp").append(major).append("\0\0\0\0"sv).append(compatible);
  }

  TEST_CASE("pictures, film and sound are known by their magic bytes") {
    CHECK(content_type("\xFF\xD8\xFF\xE0....") == "image/jpeg");
    CHECK(content_type("\x89PNG\r\n\x1A\n....") == "image/png");
    CHECK(content_type("GIF87a....") == "image/gif");
    CHECK(content_type("GIF89a....") == "image/gif");
    CHECK(content_type("II\x2A\0...."sv) == "image/tiff");
    CHECK(content_type("MM\0\x2A...."sv) == "image/tiff");
    CHECK(content_type("II\x2B\0\x08\0.."sv) == "image/tiff");
    CHECK(content_type("MM\0\x2B\0\x08.."sv) == "image/tiff");
    CHECK(content_type("RIFF....WEBPVP8 ") == "image/webp");
    CHECK(content_type("RIFF....WAVEfmt ") == "audio/wav");
    CHECK(content_type("BM\x46\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0"sv) == "image/bmp");
    CHECK(content_type(iso_media("avif")) == "image/avif");
    CHECK(content_type(iso_media("heic")) == "image/heic");
    CHECK(content_type(iso_media("isom")) == "video/mp4");
    CHECK(content_type(iso_media("mp42")) == "video/mp4");
  }

  TEST_CASE("the compatible brands decide where the major brand is a general one") {
    CHECK(content_type(iso_media("mif1", "mif1avif")) == "image/avif");
    CHECK(content_type(iso_media("mif1", "mif1heic")) == "image/heic");
    CHECK(content_type(iso_media("mif1", "mif1")) == "image/heif");
    // Brands behind the end of the box do not count.
    CHECK(content_type(iso_media("mif1") + "avif") == "image/heif");
  }

  TEST_CASE("everything else is bytes") {
    for (const std::string_view data :
         {""sv, "\xFF"sv, "\xFF\xD8"sv, "BM"sv, "BM is how this text begins, nothing more"sv,
          "RIFF"sv, "RIFF....AVI "sv, "....ftypqt  "sv, "....ftyp"sv, "{\"json\":true}"sv,
          "<html>"sv, "%PDF-1.7"sv}) {
      CAPTURE(data);
      CHECK(content_type(data) == "application/octet-stream");
    }
  }

  TEST_CASE("no data of any length is read beyond its end") {
    const std::string wav = "RIFF....WAVE";
    const std::string heif = iso_media("mif1", "mif1heic");
    for (const std::string& whole : {wav, heif}) {
      for (std::size_t length = 0; length <= whole.size(); ++length) {
        const std::string cut(whole.data(), length);  // exactly so long: for the sanitizer
        CHECK_FALSE(content_type(cut).empty());
      }
    }
  }
}

}  // namespace
