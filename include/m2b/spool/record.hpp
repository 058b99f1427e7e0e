#pragma once

#include <cstddef>
#include <memory>
#include <string_view>

#include "m2b/spool/message.hpp"

namespace m2b {

/// A record copied out of the spool, with its checksum verified. Owns its bytes; movable.
class Record {
 public:
  /// So many bytes behind the payload belong to the record's buffer and may be read (they are
  /// zero): simdjson reads in blocks (SIMDJSON_PADDING).
  static constexpr std::size_t kPaddingBytes = 64;

  Record(SpoolId id, std::unique_ptr<char[]> buffer, const MessageView& message)
      : id_(id), buffer_(std::move(buffer)), message_(message) {}

  [[nodiscard]] SpoolId id() const noexcept { return id_; }
  /// Views into the record's own buffer.
  [[nodiscard]] const MessageView& message() const noexcept { return message_; }

  /// Gives the memory of a part of the payload back, in whole pages: its bytes are lost.
  void forget(std::string_view part) noexcept;

 private:
  SpoolId id_;
  std::unique_ptr<char[]> buffer_;
  MessageView message_;
};

}  // namespace m2b
