#include "m2b/object/object_key.hpp"

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <variant>

namespace {

using m2b::ObjectKey;
using namespace std::string_literals;

TEST_SUITE("object key") {
  /// The key, or "refused: " and the reason.
  std::string key_of(std::string_view image_id) {
    const auto result = ObjectKey::from_image_id(image_id);
    if (const auto* key = std::get_if<ObjectKey>(&result)) return key->str();
    return "refused: " + std::get<std::string>(result);
  }

  bool is_refused(std::string_view image_id) { return key_of(image_id).starts_with("refused: "); }

  /// A key of that many bytes with the extension, in segments that are not too long.
  std::string id_for_key_bytes(std::size_t bytes) {
    std::string id;
    while (id.size() + 4 < bytes) id += id.size() % 100 == 99 ? '/' : 'k';
    return id;
  }

  TEST_CASE("the key is the image id with .jpg") {
    CHECK(key_of("0_1635351550897") == "0_1635351550897.jpg");
  }

  TEST_CASE("every character that MinIO keeps is kept") {
    for (const std::string_view id :
         {"line 1/camera 2/7", "a b+c=d%e&f?g", "back\\slash", "x:y*\"<>|#~", " lead", "trail ",
          "Größe/日本語/😀", "e\u0301", "\uFEFFbom", "c1\u0085\u009F", "..a", "a..b", "xl.meta",
          ".minio.sys/a"}) {
      CAPTURE(id);
      CHECK(key_of(id) == std::string(id) + ".jpg");
    }
  }

  TEST_CASE("dots and folders are judged by the key, which has .jpg at its end") {
    CHECK(key_of(".") == "..jpg");
    CHECK(key_of("..") == "...jpg");
    CHECK(key_of("folder/") == "folder/.jpg");
    CHECK(key_of("a__XLDIR__") == "a__XLDIR__.jpg");
    CHECK(key_of("__XLDIR__x/b") == "__XLDIR__x/b.jpg");
  }

  TEST_CASE("an empty id is refused") { CHECK(key_of("") == "refused: empty"); }

  TEST_CASE("a key may have 1,024 bytes and no more") {
    CHECK_FALSE(is_refused(id_for_key_bytes(1024)));
    CHECK(key_of(id_for_key_bytes(1025)) ==
          "refused: a key of 1025 bytes; at most 1024 are possible");
  }

  TEST_CASE("a segment may have 255 bytes and no more, the extension included") {
    CHECK_FALSE(is_refused(std::string(251, 's')));
    CHECK(key_of(std::string(252, 's')) ==
          "refused: a segment of 256 bytes; at most 255 are possible");
    CHECK_FALSE(is_refused(std::string(255, 's') + "/x"));
    CHECK(is_refused(std::string(256, 's') + "/x"));
    CHECK(is_refused("x/" + std::string(252, 's')));
  }

  TEST_CASE("control characters are refused") {
    CHECK(key_of("a\0b"s) == "refused: control character 0x00 at byte 1");
    CHECK(key_of("a\r\nx-amz-acl: public-read") == "refused: control character 0x0D at byte 1");
    CHECK(is_refused("\x01"));
    CHECK(is_refused("tab\t"));
    CHECK(is_refused("\x1F"));
    CHECK(is_refused("delete\x7F"));
  }

  TEST_CASE("a leading slash is refused") {
    CHECK(key_of("/a") == "refused: leading '/'");
    CHECK(is_refused("/"));
  }

  TEST_CASE("an empty, single-dot or double-dot segment is refused") {
    CHECK(key_of("a//b") == "refused: empty segment: '//'");
    CHECK(key_of("a/./b") == "refused: segment '.'");
    CHECK(key_of("a/../b") == "refused: segment '..'");
    CHECK(is_refused("./a"));
    CHECK(is_refused("../a"));
  }

  TEST_CASE("a folder that MinIO would take for its own mark is refused") {
    // MinIO stores such an object but leaves it out of listings of the bucket.
    CHECK(is_refused("a__XLDIR__/b"));
    CHECK(is_refused("__XLDIR__/b"));
    CHECK(is_refused("a/__XLDIR__/b"));
  }

  TEST_CASE("well-formed UTF-8 is accepted up to the ends of its ranges") {
    for (const std::string_view id :
         {"\xC2\x80", "\xDF\xBF", "\xE0\xA0\x80", "\xED\x9F\xBF", "\xEE\x80\x80", "\xEF\xBF\xBF",
          "\xF0\x90\x80\x80", "\xF4\x8F\xBF\xBF"}) {
      CAPTURE(id);
      CHECK_FALSE(is_refused(id));
    }
  }

  TEST_CASE("malformed UTF-8 is refused") {
    for (const std::string_view id : {
             "\x80",              // continuation without a lead
             "\xC0\xAF",          // overlong '/'
             "\xC1\xBF",          // overlong
             "\xE0\x9F\xBF",      // overlong
             "\xF0\x8F\xBF\xBF",  // overlong
             "\xF4\x90\x80\x80",  // above U+10FFFF
             "\xF5\x80\x80\x80",  // above U+10FFFF
             "\xFF",              // never a byte of UTF-8
             "\xC3",              // cut
             "\xE2\x82",          // cut
             "\xF0\x9F\x98",      // cut
             "\xC3(",             // second byte missing
             "\xE2\x82(",         // third byte missing
             "\xF0\x9F\x98(",     // fourth byte missing
             "latin-1 \xE4\xF6",
         }) {
      CAPTURE(id);
      CHECK(key_of(id).starts_with("refused: not valid UTF-8 at byte "));
    }
    CHECK(key_of("caf\xE9") == "refused: not valid UTF-8 at byte 3");
    CHECK(key_of("a/\xED\xA0\x80") ==
          "refused: lone surrogate U+D800 at byte 2, which no UTF-8 can hold");
    CHECK(key_of("\xED\xBF\xBF") ==
          "refused: lone surrogate U+DFFF at byte 0, which no UTF-8 can hold");
  }
}

}  // namespace
