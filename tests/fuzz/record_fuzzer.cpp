// spool/record_codec, piece_store, sealed: bytes of the spool are read without believing them, and
// what was written is read again, or its damage is noticed.

#include <fuzzer/FuzzedDataProvider.h>

#include <cstdint>
#include <string>

#include "fuzz/checks.hpp"
#include "spool/piece_store.hpp"
#include "spool/record_codec.hpp"
#include "spool/sealed.hpp"

namespace {

using namespace m2b;
using fuzz::require;

void read_anything(SpoolId id, std::string_view bytes) {
  const fuzz::Exact exact(bytes);
  const std::string_view raw = exact.view();
  const auto header = decode_header(raw);
  const auto message = message_of(raw);
  require(message.has_value() == (header && header->record_bytes() == raw.size()),
          "a message is there where the lengths are right");
  if (message) {
    require(message->topic.size() + message->payload.size() + RecordHeader::kBytes == raw.size(),
            "topic and payload are all of the rest");
  }
  require(!is_intact(id, raw) || message, "what is intact can be read");
  const RecordInfo info = describe_record(id, raw);
  require(info.readable == header.has_value(), "a record is described by its header");
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
  const HeaderBytes header = encode_header(id, message);
  std::string raw(header.begin(), header.end());
  raw += topic + payload;

  require(is_intact(id, raw), "what was written is intact");
  const auto read = message_of(raw);
  require(read && read->topic == topic && read->payload == payload &&
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
