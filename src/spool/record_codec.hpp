#pragma once

#include <xxhash.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "m2b/encryption/cipher.hpp"
#include "m2b/encryption/key_ring.hpp"
#include "m2b/spool/message.hpp"
#include "m2b/spool/record_info.hpp"
#include "m2b/util/handle.hpp"

/// The bytes of a record, as docs/spool-format.md describes them.
namespace m2b {

/// First bytes of a record; topic and payload follow, encrypted or not.
struct RecordHeader {
  static constexpr std::size_t kBytes = 32;
  static constexpr std::uint8_t kPlainVersion = 1;
  static constexpr std::uint8_t kEncryptedVersion = 2;
  static constexpr std::size_t kMaxTopicBytes = 65'535;         // MQTT 5, section 1.5.4
  static constexpr std::size_t kMaxPayloadBytes = 268'435'455;  // MQTT 5, section 1.5.5
  static constexpr std::size_t kMaxRecordBytes =
      kBytes + cipher::kOverheadBytes + kMaxTopicBytes + kMaxPayloadBytes;

  std::uint8_t qos = 0;
  bool retained = false;
  bool duplicate = false;
  WallTime received_at;
  std::uint16_t topic_bytes = 0;
  std::uint32_t payload_bytes = 0;
  std::optional<KeyId> key;  // that encrypted topic and payload; none: they stand in the clear
  std::uint64_t checksum = 0;

  [[nodiscard]] std::size_t record_bytes() const noexcept {
    return kBytes + (key ? cipher::kOverheadBytes : 0) + topic_bytes + payload_bytes;
  }
};

using HeaderBytes = std::array<char, RecordHeader::kBytes>;

/// A record's bytes, one part after the other: header, and then either the encrypted text or the
/// message's own topic and payload, which are borrowed.
struct EncodedRecord {
  HeaderBytes header{};
  std::string encrypted = {};
  std::string_view topic = {};
  std::string_view payload = {};
};

/// The record of a message that gets this id; in the clear without a key. Topic and payload must be
/// within MQTT's limits.
[[nodiscard]] EncodedRecord encode_record(SpoolId id, const MessageView& message,
                                          const EncryptionKey* key);

/// The header of a message's record, in the clear without a key.
[[nodiscard]] RecordHeader header_of(const MessageView& message, const EncryptionKey* key);
/// Its bytes, without the checksum.
[[nodiscard]] HeaderBytes encode_header(const RecordHeader& header);
/// What belongs to an encrypted text, and the cipher protects as well: the header without the
/// checksum, which changes with the id.
[[nodiscard]] std::string_view bound_to_text(std::string_view header);

/// The checksum of a record whose bytes come in parts.
class RecordChecksum {
 public:
  /// `header` need not have a checksum yet.
  RecordChecksum(SpoolId id, std::string_view header);
  /// The next of the bytes behind the header.
  void add(std::string_view bytes);
  [[nodiscard]] std::uint64_t value() const;

 private:
  Handle<XXH3_state_t, &XXH3_freeState> state_;
};

/// Writes the checksum into a header.
void set_checksum(HeaderBytes& header, std::uint64_t checksum);

/// Gives an intact record another id.
void change_id(SpoolId id, std::string& record);

/// Nothing when the bytes cannot be a header of ours: too short, other version, impossible lengths.
[[nodiscard]] std::optional<RecordHeader> decode_header(std::string_view bytes);

/// Whether a whole record is what was written under this id. Needs no key.
[[nodiscard]] bool checksum_matches(SpoolId id, const RecordHeader& header,
                                    std::string_view record);

/// As open_message(), of a record of the right length.
[[nodiscard]] OpenedMessage open_record(const RecordHeader& header, std::span<char> record,
                                        const KeyRing& keys);

/// What the beginning of a record tells: its first 4 KiB suffice for all but very long topics.
[[nodiscard]] RecordInfo describe_record(SpoolId id, std::string_view beginning,
                                         const KeyRing& keys);

/// Of the beginning of a record, what there is of its payload, up to `max_bytes`, for showing:
/// nothing proves that it is what was received. All of the bytes where there is no header of ours.
[[nodiscard]] std::variant<std::string, KeyMissing> payload_beginning(std::string_view beginning,
                                                                      std::size_t max_bytes,
                                                                      const KeyRing& keys);

}  // namespace m2b
