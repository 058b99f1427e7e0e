#include "spool/record_codec.hpp"

#include <doctest/doctest.h>

#include <string>

namespace {

TEST_SUITE("record_codec") {
  using namespace m2b;

  const MessageView kMessage{.topic = "a/b",
                             .payload = "payload",
                             .received_at = WallTime(std::chrono::milliseconds(1'635'351'550'897)),
                             .qos = 2,
                             .retained = true,
                             .duplicate = true};

  std::string encode(SpoolId id, const MessageView& message) {
    const HeaderBytes header = encode_header(id, message);
    return std::string(header.data(), header.size()) + std::string(message.topic) +
           std::string(message.payload);
  }

  TEST_CASE("a record comes back as it was written") {
    const std::string record = encode(SpoolId{7}, kMessage);
    const auto header = decode_header(record);
    REQUIRE(header);
    CHECK(checksum_matches(SpoolId{7}, *header, record));
    const MessageView message = view_message(*header, record);
    CHECK(message.topic == kMessage.topic);
    CHECK(message.payload == kMessage.payload);
    CHECK(message.received_at == kMessage.received_at);
    CHECK(message.qos == kMessage.qos);
    CHECK(message.retained);
    CHECK(message.duplicate);
  }

  TEST_CASE("the bytes are those of docs/spool-format.md") {
    // Written down by hand from the table there; the checksum is XXH3-64 with the id as its seed,
    // as printed by this code when the format was fixed.
    const std::string record = encode(SpoolId{7}, kMessage);
    const std::string fixed(
        "\x01\x03\x02\x00\x03\x00\x00\x00\x07\x00\x00\x00\x00\x00\x00\x00"
        "\xb1\x5b\x8c\xc2\x7c\x01\x00\x00",
        24);
    CHECK(record.substr(0, 24) == fixed);
    CHECK(record.substr(32) == "a/bpayload");
  }

  TEST_CASE("every flipped bit is noticed") {
    const std::string good = encode(SpoolId{7}, kMessage);
    for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
      std::string bad = good;
      bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << (bit % 8)));
      const auto header = decode_header(bad);
      CHECK_FALSE((header && checksum_matches(SpoolId{7}, *header, bad)));
    }
  }

  TEST_CASE("a record under another id, too short or too long is noticed") {
    const std::string record = encode(SpoolId{7}, kMessage);
    const auto header = decode_header(record);
    REQUIRE(header);
    CHECK_FALSE(checksum_matches(SpoolId{8}, *header, record));
    CHECK_FALSE(checksum_matches(SpoolId{7}, *header, record + "x"));
    CHECK_FALSE(checksum_matches(SpoolId{7}, *header, record.substr(0, record.size() - 1)));
    CHECK_FALSE(decode_header(record.substr(0, 31)));
    CHECK_FALSE(decode_header(""));
  }

  TEST_CASE("empty topic and payload are a record as well") {
    const std::string record = encode(SpoolId{1}, {});
    const auto header = decode_header(record);
    REQUIRE(header);
    CHECK(checksum_matches(SpoolId{1}, *header, record));
    CHECK(record.size() == RecordHeader::kBytes);
  }
}

}  // namespace
