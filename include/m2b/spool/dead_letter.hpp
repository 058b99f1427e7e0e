#pragma once

#include <array>
#include <string>
#include <string_view>

namespace m2b {

/// Why a message can never become an object. The numbers are written to disk: never reuse one.
enum class DeadLetterReason : unsigned char {
  not_json = 1,           ///< not one whole JSON document in UTF-8
  missing_field = 2,      ///< a field of the message model is not there
  wrong_type = 3,         ///< a field has another type, or its number is out of range
  bad_base64 = 4,         ///< image_bytes is not strict base64
  bad_key = 5,            ///< no object can have the key that image_id gives
  too_large = 6,          ///< over MAX_MESSAGE_BYTES
  damaged = 7,            ///< the record's checksum in the spool is wrong
  rejected_by_store = 8,  ///< the store refuses this object alone
  key_lost = 9,           ///< encrypted with a key that SPOOL_KEY calls lost
};

inline constexpr std::array kDeadLetterReasons{
    DeadLetterReason::not_json,   DeadLetterReason::missing_field,     DeadLetterReason::wrong_type,
    DeadLetterReason::bad_base64, DeadLetterReason::bad_key,           DeadLetterReason::too_large,
    DeadLetterReason::damaged,    DeadLetterReason::rejected_by_store, DeadLetterReason::key_lost};

/// The name as it stands in logs, metrics and tools.
[[nodiscard]] std::string_view to_string(DeadLetterReason reason) noexcept;

/// A reason with its detail for a person: what was wrong, where.
struct Rejection {
  DeadLetterReason reason;
  std::string detail;
};

}  // namespace m2b
