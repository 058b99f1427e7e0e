#include "spool/record_codec.hpp"

#include <algorithm>
#include <cassert>
#include <initializer_list>
#include <utility>

#include "spool/little_endian.hpp"

namespace m2b {
namespace {

// Offsets in the header.
constexpr std::size_t kVersionAt = 0;
constexpr std::size_t kFlagsAt = 1;
constexpr std::size_t kQosAt = 2;
constexpr std::size_t kTopicBytesAt = 4;
constexpr std::size_t kPayloadBytesAt = 8;
constexpr std::size_t kKeyAt = 12;
constexpr std::size_t kReceivedAt = 16;
constexpr std::size_t kChecksumAt = 24;

constexpr std::uint8_t kRetainedFlag = 1;
constexpr std::uint8_t kDuplicateFlag = 2;

/// Over the id too, so that a record under another record's key is noticed. And over what is on
/// disk, so that damage is found, and told from a missing key, without any key.
std::uint64_t checksum(SpoolId id, std::string_view header,
                       std::initializer_list<std::string_view> rest) {
  RecordChecksum checksum(id, header);
  for (const std::string_view part : rest) {
    checksum.add(part);
  }
  return checksum.value();
}

/// In the clear, or decrypted already.
MessageView view_message(const RecordHeader& header, std::string_view record) {
  const std::string_view text =
      record.substr(RecordHeader::kBytes + (header.key ? cipher::kSaltBytes : 0));
  return {.topic = text.substr(0, header.topic_bytes),
          .payload = text.substr(header.topic_bytes, header.payload_bytes),
          .received_at = header.received_at,
          .qos = header.qos,
          .retained = header.retained,
          .duplicate = header.duplicate};
}

/// Up to so much of topic and payload as the beginning of a record holds.
std::variant<std::string, KeyMissing> text_beginning(const RecordHeader& header,
                                                     std::string_view beginning,
                                                     std::size_t max_bytes, const KeyRing& keys) {
  const std::string_view rest = beginning.substr(RecordHeader::kBytes);
  if (!header.key) {
    return std::string(rest.substr(0, max_bytes));
  }
  const EncryptionKey* const key = keys.find(*header.key);
  if (key == nullptr) {
    return KeyMissing{*header.key};
  }
  return cipher::decrypt_beginning(
      *key, rest, std::min<std::size_t>(max_bytes, header.topic_bytes + header.payload_bytes));
}

}  // namespace

std::string_view bound_to_text(std::string_view header) { return header.substr(0, kChecksumAt); }

RecordChecksum::RecordChecksum(SpoolId id, std::string_view header) : state_(XXH3_createState()) {
  if (!state_) {
    throw std::bad_alloc();
  }
  XXH3_64bits_reset_withSeed(state_.get(), to_number(id));
  XXH3_64bits_update(state_.get(), header.data(), kChecksumAt);
}

void RecordChecksum::add(std::string_view bytes) {
  XXH3_64bits_update(state_.get(), bytes.data(), bytes.size());
}

std::uint64_t RecordChecksum::value() const { return XXH3_64bits_digest(state_.get()); }

void set_checksum(HeaderBytes& header, std::uint64_t checksum) {
  store_le(&header[kChecksumAt], checksum);
}

RecordHeader header_of(const MessageView& message, const EncryptionKey* key) {
  return {.qos = message.qos,
          .retained = message.retained,
          .duplicate = message.duplicate,
          .received_at = message.received_at,
          .topic_bytes = static_cast<std::uint16_t>(message.topic.size()),
          .payload_bytes = static_cast<std::uint32_t>(message.payload.size()),
          .key = key != nullptr ? std::optional(key->id()) : std::nullopt};
}

HeaderBytes encode_header(const RecordHeader& header) {
  HeaderBytes bytes{};
  std::uint8_t flags = 0;
  flags |= header.retained ? kRetainedFlag : 0;
  flags |= header.duplicate ? kDuplicateFlag : 0;
  store_le(&bytes[kVersionAt],
           header.key ? RecordHeader::kEncryptedVersion : RecordHeader::kPlainVersion);
  store_le(&bytes[kFlagsAt], flags);
  store_le(&bytes[kQosAt], header.qos);
  store_le(&bytes[kTopicBytesAt], header.topic_bytes);
  store_le(&bytes[kPayloadBytesAt], header.payload_bytes);
  store_le(&bytes[kReceivedAt],
           static_cast<std::uint64_t>(header.received_at.time_since_epoch().count()));
  if (header.key) {
    store_le(&bytes[kKeyAt], static_cast<std::uint32_t>(*header.key));
  }
  return bytes;
}

EncodedRecord encode_record(SpoolId id, const MessageView& message, const EncryptionKey* key) {
  assert(message.topic.size() <= RecordHeader::kMaxTopicBytes);
  assert(message.payload.size() <= RecordHeader::kMaxPayloadBytes);
  EncodedRecord record;
  HeaderBytes& header = record.header;
  header = encode_header(header_of(message, key));
  const std::string_view header_view(header.data(), header.size());
  if (key != nullptr) {
    record.encrypted =
        cipher::encrypt(*key, bound_to_text(header_view), {message.topic, message.payload});
  } else {
    record.topic = message.topic;
    record.payload = message.payload;
  }
  set_checksum(header, checksum(id, header_view, {record.encrypted, record.topic, record.payload}));
  return record;
}

void change_id(SpoolId id, std::string& record) {
  const std::string_view rest = std::string_view(record).substr(RecordHeader::kBytes);
  store_le(&record[kChecksumAt], checksum(id, record, {rest}));
}

std::optional<RecordHeader> decode_header(std::string_view bytes) {
  if (bytes.size() < RecordHeader::kBytes) {
    return std::nullopt;
  }
  const auto version = load_le<std::uint8_t>(&bytes[kVersionAt]);
  if (version != RecordHeader::kPlainVersion && version != RecordHeader::kEncryptedVersion) {
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
  if (version == RecordHeader::kEncryptedVersion) {
    header.key = KeyId{load_le<std::uint32_t>(&bytes[kKeyAt])};
  }
  header.checksum = load_le<std::uint64_t>(&bytes[kChecksumAt]);
  if (header.payload_bytes > RecordHeader::kMaxPayloadBytes) {
    return std::nullopt;
  }
  return header;
}

bool checksum_matches(SpoolId id, const RecordHeader& header, std::string_view record) {
  return record.size() == header.record_bytes() &&
         checksum(id, record, {record.substr(RecordHeader::kBytes)}) == header.checksum;
}

std::uint64_t checksum_of(std::string_view raw) {
  const auto header = decode_header(raw);
  return header ? header->checksum : 0;
}

bool is_intact(SpoolId id, std::string_view raw) {
  const auto header = decode_header(raw);
  return header && checksum_matches(id, *header, raw);
}

OpenedMessage open_record(const RecordHeader& header, std::span<char> record, const KeyRing& keys) {
  assert(record.size() == header.record_bytes());
  const std::string_view bytes(record.data(), record.size());
  if (header.key) {
    const EncryptionKey* const key = keys.find(*header.key);
    if (key == nullptr) {
      return KeyMissing{*header.key};
    }
    if (!cipher::decrypt(*key, bound_to_text(bytes), record.subspan(RecordHeader::kBytes))) {
      return DamagedRecord{};
    }
  }
  return view_message(header, bytes);
}

OpenedMessage open_message(std::string& raw, const KeyRing& keys) {
  const auto header = decode_header(raw);
  return header && header->record_bytes() == raw.size() ? open_record(*header, raw, keys)
                                                        : DamagedRecord{};
}

RecordInfo describe_record(SpoolId id, std::string_view beginning, const KeyRing& keys) {
  RecordInfo info{.id = id};
  if (const auto header = decode_header(beginning)) {
    info.readable = true;
    info.bytes = header->record_bytes();
    info.key = header->key;
    auto topic = text_beginning(*header, beginning, header->topic_bytes, keys);
    if (auto* const text = std::get_if<std::string>(&topic)) {
      info.topic = std::move(*text);
    }
    info.payload_bytes = header->payload_bytes;
    info.received_at = header->received_at;
    info.qos = header->qos;
    info.retained = header->retained;
    info.duplicate = header->duplicate;
  }
  return info;
}

std::variant<std::string, KeyMissing> payload_beginning(std::string_view beginning,
                                                        std::size_t max_bytes,
                                                        const KeyRing& keys) {
  const auto header = decode_header(beginning);
  if (!header) {
    return std::string(beginning.substr(0, max_bytes));
  }
  auto text = text_beginning(*header, beginning, header->topic_bytes + max_bytes, keys);
  if (auto* const topic_and_payload = std::get_if<std::string>(&text)) {
    topic_and_payload->erase(0, header->topic_bytes);
  }
  return text;
}

}  // namespace m2b
