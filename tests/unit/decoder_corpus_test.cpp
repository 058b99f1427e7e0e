// The decoder against the decisions of the original, which tests/integration/test_corpus.py checks.

#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <fstream>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "control/documents.hpp"
#include "m2b/decode/decoder.hpp"
#include "m2b/spool/record.hpp"
#include "m2b/util/utf8.hpp"
#include "upload/digest.hpp"

namespace {

TEST_SUITE("decoder corpus") {
  using namespace m2b;
  using documents::Json;

  /// The bytes of a text of which each character up to U+00FF is one.
  std::string bytes_of(std::string_view text) {
    std::string bytes;
    while (const std::size_t length = utf8_character_length(text)) {
      bytes += static_cast<char>(utf8_code_point(text.substr(0, length)));
      text.remove_prefix(length);
    }
    return bytes;
  }

  std::string payload_of(const Json& parts) {
    std::string payload;
    for (const Json& part : parts) {
      if (part.is_string()) {
        payload += bytes_of(part.get<std::string>());
        continue;
      }
      const std::string repeated = bytes_of(part.at(0).get<std::string>());
      for (int count = part.at(1).get<int>(); count > 0; --count) payload += repeated;
    }
    return payload;
  }

  /// With nothing in front of the payload and the record's padding behind it.
  Record record_with(std::string_view payload) {
    auto buffer = std::make_unique<char[]>(payload.size() + Record::kPaddingBytes);
    std::copy(payload.begin(), payload.end(), buffer.get());
    MessageView message;
    message.payload = {buffer.get(), payload.size()};
    return {SpoolId{1}, std::move(buffer), message};
  }

  std::string decision_of(const std::variant<Object, Rejection>& result) {
    const auto* const rejection = std::get_if<Rejection>(&result);
    return rejection == nullptr ? "stored" : std::string(to_string(rejection->reason));
  }

  void check_object(const Object& object, const Json& expected) {
    CHECK(object.key.str() == expected.at("image_id").get<std::string>() + ".jpg");
    CHECK(sha256_hex(object.body) == expected.at("sha256"));
    for (const std::string_view name :
         {"timestamp_ms", "image_height", "image_width", "image_channels"}) {
      const auto is_it = [name](const auto& value) { return value.first == name; };
      const auto found = std::find_if(object.metadata.begin(), object.metadata.end(), is_it);
      REQUIRE(found != object.metadata.end());
      CHECK(found->second == expected.at(std::string(name)));
    }
  }

  TEST_CASE("each message is decided as the original decides it, or as a known difference") {
    std::ifstream file(M2B_SOURCE_DIR "/tests/corpus/messages.jsonl");
    Decoder decoder(std::size_t{64} << 20U);
    int count = 0;
    for (std::string line; std::getline(file, line); ++count) {
      const Json expected = Json::parse(line);
      CAPTURE(expected.at("name").get<std::string>());
      const Record record = record_with(payload_of(expected.at("payload")));
      const auto result = decoder.decode(record);
      CHECK(decision_of(result) == expected.at("decoder"));
      const bool is_stored = expected.at("decoder") == "stored";
      const bool is_original_stored = expected.at("original") == "stored";
      CHECK((is_stored == is_original_stored) == !expected.contains("difference"));
      if (const auto* const object = std::get_if<Object>(&result)) {
        check_object(*object, expected.at("object"));
      }
    }
    CHECK(count >= 200);
  }
}

}  // namespace
