#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace m2b {

/// The body of a request, in pieces that go out one behind the other; borrowed. Most have one.
using BodyPieces = std::vector<std::string_view>;

[[nodiscard]] std::size_t size_of(const BodyPieces& pieces) noexcept;

/// Reads pieces as if they were one text. The pieces outlive it.
class BodyReader final {
 public:
  BodyReader() = default;
  explicit BodyReader(const BodyPieces& pieces) noexcept;

  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  /// What has not been read yet.
  [[nodiscard]] std::size_t left() const noexcept { return left_; }

  /// Copies up to `room` bytes; fewer only at the end.
  std::size_t read(char* buffer, std::size_t room) noexcept;

  /// Goes on from that byte; false where there is none.
  [[nodiscard]] bool seek(std::uint64_t offset) noexcept;

 private:
  const BodyPieces* pieces_ = nullptr;
  std::size_t size_ = 0;
  std::size_t left_ = 0;
  std::size_t piece_ = 0;   // the one that is being read
  std::size_t offset_ = 0;  // in it
};

}  // namespace m2b
