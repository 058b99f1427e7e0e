#include "spool/record_codec.hpp"

#include <doctest/doctest.h>

#include <string>
#include <variant>

#include "support/keys.hpp"

namespace {

TEST_SUITE("record_codec") {
  using namespace m2b;

  const MessageView kMessage{.topic = "a/b",
                             .payload = "payload",
                             .received_at = WallTime(std::chrono::milliseconds(1'635'351'550'897)),
                             .qos = 2,
                             .retained = true,
                             .duplicate = true};

  const KeyRing kKeys = test::key_ring(test::kOneKey);
  const KeyRing kOtherKeys = test::key_ring(test::kAnotherKey);

  std::string encode(SpoolId id, const MessageView& message, const KeyRing& keys = {}) {
    const EncodedRecord record = encode_record(id, message, keys.encrypting());
    return std::string(record.header.data(), record.header.size()) + record.encrypted +
           std::string(record.topic) + std::string(record.payload);
  }
  void check_message(const OpenedMessage& opened) {
    REQUIRE(std::holds_alternative<MessageView>(opened));
    const auto& message = std::get<MessageView>(opened);
    CHECK(message.topic == kMessage.topic);
    CHECK(message.payload == kMessage.payload);
    CHECK(message.received_at == kMessage.received_at);
    CHECK(message.qos == kMessage.qos);
    CHECK(message.retained);
    CHECK(message.duplicate);
  }

  TEST_CASE("a record comes back as it was written") {
    std::string record = encode(SpoolId{7}, kMessage);
    CHECK(is_intact(SpoolId{7}, record));
    check_message(open_message(record, {}));
    check_message(open_message(record, kKeys));
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

  TEST_CASE("an encrypted record comes back with its key, and shows nothing without") {
    const std::string record = encode(SpoolId{7}, kMessage, kKeys);
    CHECK(record.size() == RecordHeader::kBytes + cipher::kOverheadBytes + 10);
    CHECK(record.find("payload") == std::string::npos);
    CHECK(record.find("a/b") == std::string::npos);
    CHECK(is_intact(SpoolId{7}, record));  // without any key

    std::string opened = record;
    check_message(open_message(opened, kKeys));
    for (const KeyRing& keys : {KeyRing(), kOtherKeys}) {
      std::string closed = record;
      const OpenedMessage result = open_message(closed, keys);
      REQUIRE(std::holds_alternative<KeyMissing>(result));
      CHECK(to_string(std::get<KeyMissing>(result).key) == "9f1af927");
      CHECK(closed == record);
    }
  }

  TEST_CASE("the header of an encrypted one is that of docs/spool-format.md, and protected") {
    const std::string record = encode(SpoolId{7}, kMessage, kKeys);
    const std::string fixed(
        "\x02\x03\x02\x00\x03\x00\x00\x00\x07\x00\x00\x00\x27\xf9\x1a\x9f"
        "\xb1\x5b\x8c\xc2\x7c\x01\x00\x00",
        24);
    CHECK(record.substr(0, 24) == fixed);
    std::string forged = record;
    forged[2] = 1;                  // the QoS
    change_id(SpoolId{7}, forged);  // its checksum is right
    CHECK(is_intact(SpoolId{7}, forged));
    CHECK(std::holds_alternative<DamagedRecord>(open_message(forged, kKeys)));
  }

  TEST_CASE("under another id an encrypted record is the same message") {
    std::string record = encode(SpoolId{7}, kMessage, kKeys);
    change_id(SpoolId{8}, record);
    CHECK_FALSE(is_intact(SpoolId{7}, record));
    CHECK(is_intact(SpoolId{8}, record));
    check_message(open_message(record, kKeys));
  }

  TEST_CASE("what the beginning of a record tells") {
    for (const KeyRing& written : {KeyRing(), kKeys}) {
      const std::string record = encode(SpoolId{7}, kMessage, written);
      const RecordInfo info = describe_record(SpoolId{7}, record, kKeys);
      CHECK(info.readable);
      CHECK(info.key.has_value() == written.is_given());
      CHECK(info.topic == "a/b");
      CHECK(info.bytes == record.size());
      CHECK(info.payload_bytes == 7);
      CHECK(info.qos == 2);
      CHECK(std::get<std::string>(payload_beginning(record, 100, kKeys)) == "payload");
      CHECK(std::get<std::string>(payload_beginning(record, 3, kKeys)) == "pay");
      const std::size_t before = record.size() - 7 - (written.is_given() ? cipher::kTagBytes : 0);
      const std::string beginning = record.substr(0, before + 2);
      CHECK(std::get<std::string>(payload_beginning(beginning, 100, kKeys)) == "pa");
      CHECK(describe_record(SpoolId{7}, record.substr(0, before - 1), kKeys).topic == "a/");
    }
    const std::string record = encode(SpoolId{7}, kMessage, kKeys);
    const RecordInfo info = describe_record(SpoolId{7}, record, kOtherKeys);
    CHECK(info.readable);
    CHECK(info.key == KeyId{0x9f1af927});
    CHECK(info.topic.empty());
    CHECK(info.payload_bytes == 7);
    CHECK(std::holds_alternative<KeyMissing>(payload_beginning(record, 100, {})));
    CHECK(std::get<std::string>(payload_beginning("no header", 4, {})) == "no h");
  }

  TEST_CASE("every flipped bit is noticed") {
    for (const KeyRing& keys : {KeyRing(), kKeys}) {
      const std::string good = encode(SpoolId{7}, kMessage, keys);
      for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
        std::string bad = good;
        bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << (bit % 8)));
        CHECK_FALSE(is_intact(SpoolId{7}, bad));
      }
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
