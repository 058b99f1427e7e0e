#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "m2b/encryption/key_ring.hpp"
#include "m2b/spool/dead_letter.hpp"
#include "m2b/spool/message.hpp"

namespace m2b {

/// What can be told of a record without its payload. Owns its bytes.
struct RecordInfo {
  SpoolId id{};
  bool readable = false;          // its header is one of ours; only then the rest is set
  std::size_t bytes = 0;          // of the whole record
  std::optional<KeyId> key = {};  // that encrypted it; none: it stands in the clear
  std::string topic = {};         // empty where that key is not at hand
  std::size_t payload_bytes = 0;
  WallTime received_at = {};
  std::uint8_t qos = 0;
  bool retained = false;
  bool duplicate = false;
};

/// A dead letter: the record as it stood in the spool, and why it is here.
struct LetterInfo {
  RecordInfo record;
  Rejection rejection;
  WallTime buried_at;
  /// For how long the bridge has run since then: what limits count, since the wall clock may jump.
  std::chrono::milliseconds age{0};
};

/// The checksum in the header of a record's bytes; 0 where there is no header.
[[nodiscard]] std::uint64_t checksum_of(std::string_view raw);

/// Whether the bytes of a record, as they stand in the spool, are what was written under this id.
[[nodiscard]] bool is_intact(SpoolId id, std::string_view raw);

/// The record is there but is not what was written.
struct DamagedRecord {};
/// The record is encrypted with a key that is not at hand.
struct KeyMissing {
  KeyId key;
};
using OpenedMessage = std::variant<MessageView, DamagedRecord, KeyMissing>;

/// The message in the bytes of a record, with views into them; an encrypted one is decrypted in
/// place. Damaged means that header, lengths or the cipher's tag are wrong: where it is not
/// encrypted it says nothing of the checksum.
[[nodiscard]] OpenedMessage open_message(std::string& raw, const KeyRing& keys);

}  // namespace m2b
