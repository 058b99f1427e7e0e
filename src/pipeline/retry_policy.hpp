#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "m2b/upload/put_outcome.hpp"
#include "m2b/util/backoff.hpp"
#include "pipeline/delivery.hpp"

namespace m2b {

/// What was stored and refused lately besides a delivery that was just refused.
struct Evidence {
  /// One group that the delivery belongs to.
  struct Group {
    unsigned refused_in_row = 0;  ///< different deliveries, this one included
    bool stored_lately = false;   ///< one of the group was stored in the last seconds
    bool is_open = false;         ///< its circuit breaker is
  };
  /// From the widest to the narrowest; the first is everything.
  std::vector<Group> groups;
  bool others_stored_meanwhile = false;  ///< since this request began
  /// Since this delivery was refused the last time; since this request began if it never was.
  bool others_stored_since = false;
  bool peers_stored_since = false;  ///< likewise, of its prefix and of its size
};

inline constexpr unsigned kOpensAfter = 3;
inline constexpr unsigned kOpensAfterSuccess = 10;
inline constexpr unsigned kProvenRefusals = 6;

/// The settings of the policy.
struct RetryOptions {
  /// Pauses of an object that is refused while others are stored.
  BackoffPolicy postponement;
  /// How long such an object is tried before it becomes a dead letter.
  std::chrono::seconds dead_letter_after{3600};
};

enum class RetryAction {
  remove,       ///< it is stored
  abandon,      ///< we are stopping
  retry_now,    ///< it keeps its memory and goes as soon as the breaker for everything is closed
  wait,         ///< it leaves the memory until the breaker of its narrowest open group closes, or,
                ///< if none is open, the one for everything
  retry_later,  ///< it leaves the memory and comes round again after `pause`
  dead_letter
};

struct RetryDecision {
  RetryAction action = RetryAction::abandon;
  std::vector<std::size_t> opens = {};  ///< indexes into Evidence::groups: breakers to open
  std::chrono::milliseconds pause{0};
};

/// Decides what becomes of a delivery, and which circuit breakers open, after one request. Pure.
/// `history` includes this refusal. The first rule that matches holds:
///
///  1. stored: remove. Stopped: abandon.
///  2. Scope `object`: dead letter.
///  3. Never sent: open the breaker for everything; retry now.
///  4. May be this object's fault, and was refused kProvenRefusals times and for
///     `dead_letter_after`, each time while others of its prefix and size were stored: dead letter.
///  5. Scope credentials, bucket, store or path, no narrow group of it is open, and nothing else
///     was stored while the request was under way, nor since this delivery was refused before (or
///     two different deliveries in a row were refused, and the server asks us to wait): open the
///     breaker for everything; retry now, or, if this delivery was refused before, wait: it must
///     not hold the memory for ever that others need.
///  6. Otherwise the refusal is about this delivery or a group that it belongs to. Each group of
///     which kOpensAfter different deliveries were refused in a row (kOpensAfterSuccess where one
///     of the group was stored in the last seconds) opens.
///
/// By 5 and 6, a delivery of a narrow group that is open waits for that group; by 6, any other is
/// retried later.
[[nodiscard]] RetryDecision decide_retry(const RefusalHistory& history, const PutResult& result,
                                         const Evidence& evidence, const RetryOptions& options,
                                         RefusalHistory::Time now);

}  // namespace m2b
