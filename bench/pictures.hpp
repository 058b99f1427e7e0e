#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "m2b/object/object.hpp"

namespace m2b::bench {

/// The smallest and the largest picture that the bench makes, in decoded bytes; the largest one's
/// message is below the bridge's MAX_MESSAGE_BYTES.
inline constexpr std::size_t kMinPictureBytes = 16;
inline constexpr std::size_t kMaxPictureBytes = std::size_t{20} << 20;

inline constexpr std::string_view kIdStart = "bench-";
inline constexpr std::size_t kNumberDigits = 10;

/// A message of docs/messages.md with a random picture that begins like a JPEG. All is prepared;
/// only the id changes from message to message.
class Picture {
 public:
  /// The id of a message is `id_start` and its number in kNumberDigits digits.
  explicit Picture(std::size_t decoded_bytes, std::string_view id_start = kIdStart);

  /// The message number `number`; valid until the next call.
  [[nodiscard]] std::string_view message(std::size_t number);
  [[nodiscard]] std::size_t message_bytes() const noexcept { return message_.size(); }
  [[nodiscard]] const std::string& decoded() const noexcept { return decoded_; }

 private:
  std::string decoded_;
  std::string message_;
  std::size_t id_at_ = 0;
};

/// The number of the message behind a request such as `PUT /bucket/bench-0000000001.jpg`; nothing
/// for other requests.
[[nodiscard]] std::optional<std::size_t> picture_number(std::string_view request);

/// Object number `number` of a bare PUT loop; no message has its key.
[[nodiscard]] Object bare_object(const Picture& picture, std::size_t number);
[[nodiscard]] ObjectKey bare_key(std::size_t number);

}  // namespace m2b::bench
