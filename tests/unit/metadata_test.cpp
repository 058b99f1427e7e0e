#include "m2b/object/metadata.hpp"

#include <doctest/doctest.h>

#include <optional>
#include <string>
#include <string_view>

namespace {

using m2b::encode_metadata_value;
using m2b::ImageFacts;
using m2b::kMaxMetadataBytes;
using m2b::make_metadata;
using m2b::Metadata;
using namespace std::string_view_literals;

TEST_SUITE("metadata") {
  ImageFacts facts() {
    return {"1635351550897", "0_1635351550897", "800", "1203", "3", "ia/rawImage/tx/cam"};
  }

  std::optional<std::string> value_of(const Metadata& metadata, std::string_view name) {
    for (const auto& [each, value] : metadata) {
      if (each == name) return value;
    }
    return std::nullopt;
  }

  std::size_t bytes_on_the_wire(const Metadata& metadata) {
    std::size_t bytes = 0;
    for (const auto& [name, value] : metadata)
      bytes += "x-amz-meta-"sv.size() + name.size() + value.size();
    return bytes;
  }

  std::string repeat(std::string_view text, std::size_t times) {
    std::string result;
    for (std::size_t i = 0; i < times; ++i) result += text;
    return result;
  }

  TEST_CASE("the fields of the message and its topic are the metadata, in this order") {
    CHECK(make_metadata(facts()) == Metadata{{"timestamp_ms", "1635351550897"},
                                             {"image_id", "0_1635351550897"},
                                             {"image_height", "800"},
                                             {"image_width", "1203"},
                                             {"image_channels", "3"},
                                             {"mqtt_topic", "ia/rawImage/tx/cam"}});
  }

  TEST_CASE("values are printable ASCII, everything else is percent-encoded") {
    CHECK(encode_metadata_value("ia/raw+Image=1&x?y\\z~\"") == "ia/raw+Image=1&x?y\\z~\"");
    CHECK(encode_metadata_value("a b") == "a%20b");
    CHECK(encode_metadata_value("100%") == "100%25");
    CHECK(encode_metadata_value("Größe") == "Gr%C3%B6%C3%9Fe");
    CHECK(encode_metadata_value("\0\t\r\n\x1F\x7F\xFF"sv) == "%00%09%0D%0A%1F%7F%FF");
    CHECK(encode_metadata_value("").empty());
  }

  TEST_CASE("ids and topics are encoded") {
    ImageFacts strange = facts();
    strange.image_id = "line 1/ü";
    strange.topic = "ia/rawImage/ä b";
    const Metadata metadata = make_metadata(strange);
    CHECK(value_of(metadata, "image_id") == "line%201/%C3%BC");
    CHECK(value_of(metadata, "mqtt_topic") == "ia/rawImage/%C3%A4%20b");
  }

  TEST_CASE("an empty value is left out") {
    ImageFacts without_topic = facts();
    without_topic.topic = "";
    CHECK_FALSE(value_of(make_metadata(without_topic), "mqtt_topic"));
  }

  TEST_CASE("a topic that just fits stays whole") {
    ImageFacts long_topic = facts();
    long_topic.topic = "";
    const std::size_t others = bytes_on_the_wire(make_metadata(long_topic));
    const std::string topic(kMaxMetadataBytes - others - "x-amz-meta-mqtt_topic"sv.size(), 't');
    long_topic.topic = topic;
    const Metadata metadata = make_metadata(long_topic);
    CHECK(value_of(metadata, "mqtt_topic") == topic);
    CHECK(bytes_on_the_wire(metadata) == kMaxMetadataBytes);
    CHECK_FALSE(value_of(metadata, "mqtt_topic_bytes"));
  }

  TEST_CASE("a topic that does not fit is cut at a whole character and its length is told") {
    const std::string topic = repeat("ü", 30'000);
    ImageFacts long_topic = facts();
    long_topic.topic = topic;
    const Metadata metadata = make_metadata(long_topic);
    CHECK(bytes_on_the_wire(metadata) <= kMaxMetadataBytes);
    CHECK(bytes_on_the_wire(metadata) > kMaxMetadataBytes - 12);
    CHECK(value_of(metadata, "mqtt_topic_bytes") == "60000");
    const std::string cut = value_of(metadata, "mqtt_topic").value();
    CHECK(cut.size() % "%C3%BC"sv.size() == 0);
    CHECK(cut.ends_with("%C3%BC"));
    CHECK(value_of(metadata, "image_id") == "0_1635351550897");
  }

  TEST_CASE("an image id that does not fit is left out, the key holds it") {
    ImageFacts long_id = facts();
    long_id.image_id = repeat("日", 300);
    const Metadata metadata = make_metadata(long_id);
    CHECK_FALSE(value_of(metadata, "image_id"));
    CHECK(value_of(metadata, "mqtt_topic") == "ia/rawImage/tx/cam");
    CHECK(value_of(metadata, "image_channels") == "3");
  }

  TEST_CASE("no id and no topic make it larger than the store takes") {
    for (std::size_t id_length = 1; id_length <= 1020; id_length += 7) {
      for (const std::size_t topic_length : {1U, 100U, 900U, 1'000U, 2'000U, 65'535U}) {
        const std::string topic(topic_length, 't');
        const ImageFacts all{"-9223372036854775808", std::string(id_length, ' '),
                             "-9223372036854775808", "-9223372036854775808",
                             "-9223372036854775808", topic};
        const Metadata metadata = make_metadata(all);
        REQUIRE(bytes_on_the_wire(metadata) <= kMaxMetadataBytes);
        const bool whole = value_of(metadata, "mqtt_topic") == topic;
        REQUIRE((whole || value_of(metadata, "mqtt_topic_bytes") == std::to_string(topic_length)));
        for (const auto& [name, value] : metadata) REQUIRE_FALSE(value.empty());
      }
    }
  }
}

}  // namespace
