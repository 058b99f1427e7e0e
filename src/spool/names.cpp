#include "m2b/spool/dead_letter.hpp"
#include "m2b/spool/spool.hpp"

namespace m2b {

std::string_view to_string(DeadLetterReason reason) noexcept {
  switch (reason) {
    case DeadLetterReason::not_json:
      return "not_json";
    case DeadLetterReason::missing_field:
      return "missing_field";
    case DeadLetterReason::wrong_type:
      return "wrong_type";
    case DeadLetterReason::bad_base64:
      return "bad_base64";
    case DeadLetterReason::bad_key:
      return "bad_key";
    case DeadLetterReason::too_large:
      return "too_large";
    case DeadLetterReason::damaged:
      return "damaged";
    case DeadLetterReason::rejected_by_store:
      return "rejected_by_store";
    case DeadLetterReason::key_lost:
      return "key_lost";
  }
  return "unknown";
}

const char* to_string(Intake intake) noexcept {
  switch (intake) {
    case Intake::open:
      return "open";
    case Intake::at_cap:
      return "SPOOL_MAX_BYTES reached";
    case Intake::at_floor:
      return "SPOOL_MIN_FREE_BYTES reached";
    case Intake::disk_full:
      return "no space left on the disk";
    case Intake::disk_error:
      return "disk error";
    case Intake::no_memory:
      return "no memory or address space";
  }
  return "unknown";
}

const char* label_of(Intake intake) noexcept {
  switch (intake) {
    case Intake::open:
      return "open";
    case Intake::at_cap:
      return "at_cap";
    case Intake::at_floor:
      return "at_floor";
    case Intake::disk_full:
      return "disk_full";
    case Intake::disk_error:
      return "disk_error";
    case Intake::no_memory:
      return "no_memory";
  }
  return "unknown";
}

}  // namespace m2b
