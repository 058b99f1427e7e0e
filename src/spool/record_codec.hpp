#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "m2b/spool/message.hpp"
#include "m2b/spool/record_info.hpp"

/// The bytes of a record, as docs/spool-format.md describes them.
namespace m2b {

/// First bytes of a record; topic and payload follow.
struct RecordHeader {
  static constexpr std::size_t kBytes = 32;
  static constexpr std::uint8_t kVersion = 1;
  static constexpr std::size_t kMaxTopicBytes = 65'535;         // MQTT 5, section 1.5.4
  static constexpr std::size_t kMaxPayloadBytes = 268'435'455;  // MQTT 5, section 1.5.5
  static constexpr std::size_t kMaxRecordBytes = kBytes + kMaxTopicBytes + kMaxPayloadBytes;

  std::uint8_t qos = 0;
  bool retained = false;
  bool duplicate = false;
  WallTime received_at;
  std::uint16_t topic_bytes = 0;
  std::uint32_t payload_bytes = 0;
  std::uint64_t checksum = 0;

  [[nodiscard]] std::size_t record_bytes() const noexcept {
    return kBytes + topic_bytes + payload_bytes;
  }
};

using HeaderBytes = std::array<char, RecordHeader::kBytes>;

/// The header of a message that gets this id, its checksum computed over id, header, topic and
/// payload. Topic and payload must be within MQTT's limits.
[[nodiscard]] HeaderBytes encode_header(SpoolId id, const MessageView& message);

/// Nothing when the bytes cannot be a header of ours: too short, other version, impossible lengths.
[[nodiscard]] std::optional<RecordHeader> decode_header(std::string_view bytes);

/// Whether a whole record (header, topic, payload) is what was written under this id.
[[nodiscard]] bool checksum_matches(SpoolId id, const RecordHeader& header,
                                    std::string_view record);

/// The message inside a whole record; views into `record`.
[[nodiscard]] MessageView view_message(const RecordHeader& header, std::string_view record);

/// What the beginning of a record tells: its first 4 KiB suffice for all but very long topics.
[[nodiscard]] RecordInfo describe_record(SpoolId id, std::string_view beginning);

}  // namespace m2b
