#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "m2b/encryption/cipher.hpp"
#include "m2b/spool/message.hpp"
#include "spool/piece_store.hpp"
#include "spool/record_codec.hpp"

namespace m2b {

/// A record above this is written in several transactions of so many bytes, since LMDB keeps in
/// memory what a transaction writes (decision 0027).
inline constexpr std::size_t kMaxTransactionBytes = 128 * PieceStore::kPieceBytes;

/// The bytes of a record one after the other, for one that is too large to be encoded as a whole.
class RecordStream {
 public:
  /// Fills it with what comes next of the bytes that the stream is made of.
  using Read = std::function<void(std::span<char>)>;

  /// The record of a message that gets this id; in the clear without a key. Topic and payload are
  /// borrowed.
  RecordStream(SpoolId id, const MessageView& message, const EncryptionKey* key);
  /// The record of a header, with another id: `read` gives the bytes behind it as they were. Where
  /// they are in the clear they are encrypted with the key, if there is one.
  RecordStream(SpoolId id, const RecordHeader& header, Read read, const EncryptionKey* key);

  [[nodiscard]] std::size_t bytes() const noexcept { return header_.record_bytes(); }
  /// Of those behind the header, how many are to come.
  [[nodiscard]] std::size_t left() const noexcept { return left_; }
  /// The next of the bytes behind the header, no more than are left.
  void next(std::span<char> to);
  /// Complete once nothing is left.
  [[nodiscard]] HeaderBytes header() const;

 private:
  void read_encrypted(std::span<char> to);

  RecordHeader header_;
  HeaderBytes header_bytes_;
  Read read_;
  std::size_t text_left_;
  std::size_t left_;
  std::string before_text_;  // the salt, or what is left of it
  std::string after_text_;   // the tag, likewise
  std::optional<cipher::Encryption> encryption_;
  RecordChecksum checksum_;
};

/// A record on its way into the records, part by part; see RecordEnv::Batch::append_part().
class LargeRecord {
 public:
  /// Makes the stream of the record once its id is known.
  using Open = std::function<RecordStream(SpoolId, const EncryptionKey*)>;

  explicit LargeRecord(Open open) : open_(std::move(open)) {}

  /// Begins it, as far as nothing has begun.
  void begin(SpoolId id, const EncryptionKey* key);
  [[nodiscard]] bool has_begun() const noexcept { return stream_.has_value(); }
  [[nodiscard]] std::size_t bytes() const noexcept { return stream_->bytes(); }
  /// The last piece that was written, all but the first one of which come in order.
  [[nodiscard]] std::uint64_t last_piece() const noexcept { return last_piece_; }
  /// Bytes of the next piece; 0: only the first one is missing.
  [[nodiscard]] std::size_t next_bytes() const noexcept;
  void write_next(std::span<char> to);
  /// Once there is no next one.
  [[nodiscard]] std::string_view first_piece();

 private:
  Open open_;
  std::optional<RecordStream> stream_;
  std::string first_;
  std::uint64_t last_piece_ = 0;
};

}  // namespace m2b
