// spool/record_codec, piece_store, sealed: bytes of the spool are read without believing them, and
// what was written is read again, or its damage is noticed.

#include <fuzzer/FuzzedDataProvider.h>

#include <cstdint>
#include <string>
#include <variant>

#include "fuzz/checks.hpp"
#include "spool/dead_letters.hpp"
#include "spool/piece_store.hpp"
#include "spool/record_codec.hpp"
#include "spool/sealed.hpp"
#include "support/keys.hpp"

namespace {

using namespace m2b;
using fuzz::require;

const KeyRing& keys() {
  static const KeyRing ring = test::key_ring(test::kOneKey);
  return ring;
}

void read_anything(SpoolId id, std::string_view bytes) {
  const fuzz::Exact exact(bytes);
  const std::string_view raw = exact.view();
  const auto header = decode_header(raw);
  std::string opened_bytes(raw);
  const OpenedMessage opened = open_message(opened_bytes, keys());
  const bool is_whole = header && header->record_bytes() == raw.size();
  if (const auto* const message = std::get_if<MessageView>(&opened)) {
    require(is_whole, "a message is there where the lengths are right");
    require(message->topic.size() + message->payload.size() + RecordHeader::kBytes +
                    (header->key ? cipher::kOverheadBytes : 0) ==
                raw.size(),
            "topic and payload are all of the rest");
  } else {
    require(opened_bytes == raw, "what cannot be opened stays as it is");
    require(!is_whole || header->key, "what is whole and in the clear can be read");
  }
  require(!is_intact(id, raw) || is_whole, "what is intact is whole");
  const RecordInfo info = describe_record(id, raw, keys());
  require(info.readable == header.has_value(), "a record is described by its header");
  static_cast<void>(payload_beginning(raw, 100, keys()));
  static_cast<void>(describe_letter(id, raw, raw, keys()));
  static_cast<void>(checksum_of(raw));
  static_cast<void>(PieceStore::piece_of(raw));
  static_cast<void>(sealed::open(raw));
}

void write_and_read(SpoolId id, FuzzedDataProvider& input) {
  const std::string topic = input.ConsumeRandomLengthString(300);
  const std::string payload = input.ConsumeRandomLengthString(3000);
  const MessageView message{
      .topic = topic,
      .payload = payload,
      .received_at = WallTime(std::chrono::milliseconds(input.ConsumeIntegral<std::int64_t>())),
      .qos = input.ConsumeIntegralInRange<std::uint8_t>(0, 2),
      .retained = input.ConsumeBool(),
      .duplicate = input.ConsumeBool()};
  const bool encrypts = input.ConsumeBool();
  const EncodedRecord record = encode_record(id, message, encrypts ? keys().encrypting() : nullptr);
  std::string raw(record.header.begin(), record.header.end());
  raw.append(record.encrypted).append(record.topic).append(record.payload);

  require(is_intact(id, raw), "what was written is intact");
  std::string opened_bytes = raw;
  const OpenedMessage opened = open_message(opened_bytes, keys());
  const auto* const read = std::get_if<MessageView>(&opened);
  require(read != nullptr && read->topic == topic && read->payload == payload &&
              read->received_at == message.received_at && read->qos == message.qos &&
              read->retained == message.retained && read->duplicate == message.duplicate,
          "and reads as it was written");
  require(!is_intact(SpoolId{to_number(id) + 1}, raw), "under another id it is not");

  const auto at = input.ConsumeIntegralInRange<std::size_t>(0, raw.size() - 1);
  const auto change = input.ConsumeIntegralInRange<std::uint8_t>(1, 255);
  raw[at] = static_cast<char>(raw[at] ^ static_cast<char>(change));
  require(!is_intact(id, raw), "a changed byte is noticed");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  FuzzedDataProvider input(data, size);
  const SpoolId id{input.ConsumeIntegral<std::uint64_t>()};
  if (input.ConsumeBool()) {
    write_and_read(id, input);
  } else {
    read_anything(id, input.ConsumeRemainingBytesAsString());
  }
  return 0;
}
