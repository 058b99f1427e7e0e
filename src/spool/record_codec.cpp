#include "spool/record_codec.hpp"

#include <xxhash.h>

#include <cassert>
#include <memory>

#include "spool/little_endian.hpp"

namespace m2b {
namespace {

// Offsets in the header.
constexpr std::size_t kVersionAt = 0;
constexpr std::size_t kFlagsAt = 1;
constexpr std::size_t kQosAt = 2;
constexpr std::size_t kTopicBytesAt = 4;
constexpr std::size_t kPayloadBytesAt = 8;
constexpr std::size_t kReceivedAt = 16;
constexpr std::size_t kChecksumAt = 24;

constexpr std::uint8_t kRetainedFlag = 1;
constexpr std::uint8_t kDuplicateFlag = 2;

struct HashStateDeleter {
  void operator()(XXH3_state_t* state) const noexcept { XXH3_freeState(state); }
};

/// Over the id too, so that a record under another record's key is noticed.
std::uint64_t checksum(SpoolId id, std::string_view header, std::string_view topic,
                       std::string_view payload) {
  const std::unique_ptr<XXH3_state_t, HashStateDeleter> state(XXH3_createState());
  if (!state) {
    throw std::bad_alloc();
  }
  XXH3_64bits_reset_withSeed(state.get(), to_number(id));
  XXH3_64bits_update(state.get(), header.data(), kChecksumAt);
  XXH3_64bits_update(state.get(), topic.data(), topic.size());
  XXH3_64bits_update(state.get(), payload.data(), payload.size());
  return XXH3_64bits_digest(state.get());
}

}  // namespace

HeaderBytes encode_header(SpoolId id, const MessageView& message) {
  assert(message.topic.size() <= RecordHeader::kMaxTopicBytes);
  assert(message.payload.size() <= RecordHeader::kMaxPayloadBytes);
  HeaderBytes bytes{};
  std::uint8_t flags = 0;
  flags |= message.retained ? kRetainedFlag : 0;
  flags |= message.duplicate ? kDuplicateFlag : 0;
  store_le(&bytes[kVersionAt], RecordHeader::kVersion);
  store_le(&bytes[kFlagsAt], flags);
  store_le(&bytes[kQosAt], message.qos);
  store_le(&bytes[kTopicBytesAt], static_cast<std::uint16_t>(message.topic.size()));
  store_le(&bytes[kPayloadBytesAt], static_cast<std::uint32_t>(message.payload.size()));
  store_le(&bytes[kReceivedAt],
           static_cast<std::uint64_t>(message.received_at.time_since_epoch().count()));
  store_le(&bytes[kChecksumAt],
           checksum(id, {bytes.data(), bytes.size()}, message.topic, message.payload));
  return bytes;
}

std::optional<RecordHeader> decode_header(std::string_view bytes) {
  if (bytes.size() < RecordHeader::kBytes ||
      load_le<std::uint8_t>(&bytes[kVersionAt]) != RecordHeader::kVersion) {
    return std::nullopt;
  }
  RecordHeader header;
  const auto flags = load_le<std::uint8_t>(&bytes[kFlagsAt]);
  header.retained = (flags & kRetainedFlag) != 0;
  header.duplicate = (flags & kDuplicateFlag) != 0;
  header.qos = load_le<std::uint8_t>(&bytes[kQosAt]);
  header.topic_bytes = load_le<std::uint16_t>(&bytes[kTopicBytesAt]);
  header.payload_bytes = load_le<std::uint32_t>(&bytes[kPayloadBytesAt]);
  header.received_at = WallTime(std::chrono::milliseconds(
      static_cast<std::int64_t>(load_le<std::uint64_t>(&bytes[kReceivedAt]))));
  header.checksum = load_le<std::uint64_t>(&bytes[kChecksumAt]);
  if (header.payload_bytes > RecordHeader::kMaxPayloadBytes) {
    return std::nullopt;
  }
  return header;
}

bool checksum_matches(SpoolId id, const RecordHeader& header, std::string_view record) {
  if (record.size() != header.record_bytes()) {
    return false;
  }
  const MessageView message = view_message(header, record);
  return checksum(id, record, message.topic, message.payload) == header.checksum;
}

std::uint64_t checksum_of(std::string_view raw) {
  const auto header = decode_header(raw);
  return header ? header->checksum : 0;
}

bool is_intact(SpoolId id, std::string_view raw) {
  const auto header = decode_header(raw);
  return header && checksum_matches(id, *header, raw);
}

std::optional<MessageView> message_of(std::string_view raw) {
  const auto header = decode_header(raw);
  return header && header->record_bytes() == raw.size() ? std::optional(view_message(*header, raw))
                                                        : std::nullopt;
}

RecordInfo describe_record(SpoolId id, std::string_view beginning) {
  RecordInfo info{.id = id};
  if (const auto header = decode_header(beginning)) {
    info.readable = true;
    info.bytes = header->record_bytes();
    info.topic = beginning.substr(RecordHeader::kBytes, header->topic_bytes);
    info.payload_bytes = header->payload_bytes;
    info.received_at = header->received_at;
    info.qos = header->qos;
    info.retained = header->retained;
    info.duplicate = header->duplicate;
  }
  return info;
}

MessageView view_message(const RecordHeader& header, std::string_view record) {
  assert(record.size() == header.record_bytes());
  return {.topic = record.substr(RecordHeader::kBytes, header.topic_bytes),
          .payload = record.substr(RecordHeader::kBytes + header.topic_bytes),
          .received_at = header.received_at,
          .qos = header.qos,
          .retained = header.retained,
          .duplicate = header.duplicate};
}

}  // namespace m2b
