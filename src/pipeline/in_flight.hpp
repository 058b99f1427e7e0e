#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "m2b/upload/put_outcome.hpp"
#include "m2b/util/backoff.hpp"
#include "pipeline/circuit_breakers.hpp"
#include "pipeline/delivery.hpp"
#include "pipeline/key_order.hpp"
#include "pipeline/postponed.hpp"
#include "pipeline/retry_policy.hpp"
#include "pipeline/upload_lanes.hpp"

namespace m2b {

/// The state machine of all deliveries between spool and store: which may be decoded, uploaded,
/// removed and retried, and in which order. It does nothing itself: each call says what happened,
/// and tells in Steps what to do. Knows no time but what it is told; a copy is independent. Not
/// thread-safe.
class InFlight {
 public:
  using Time = std::chrono::steady_clock::time_point;
  using Group = CircuitBreakers::Group;

  struct Options {
    unsigned live_percent = 50;
    BackoffPolicy probes;  // pauses between probes of an open circuit breaker
    RetryOptions retry;
  };

  /// Deliveries that may wait without their memory, some 150 bytes each.
  static constexpr std::size_t kMaxPostponed = 500'000;

  explicit InFlight(const Options& options,
                    std::random_device::result_type seed = std::random_device{}());

  /// What follows from a call.
  struct Steps {
    std::vector<Delivery> to_decode = {};
    /// Its turn has come and the store has it: remove it from the spool, then call removed_live().
    /// Nothing of its key, and nothing that came after it, goes before that.
    std::optional<Delivery> stored_live = {};
    std::size_t freed_bytes = 0;       // of the budget for deliveries in turn
    std::size_t freed_live_bytes = 0;  // of the budget for live ones
    std::size_t ready = 0;             // deliveries that became ready to upload
    bool has_ready_live = false;       // one of them is for uploaders of live ones too
    // take_released() or take_solo() may have one, or later than before.
    bool has_postponed = false;
    bool has_probed = false;         // a probe ended, or may go earlier
    std::vector<Group> opened = {};  // circuit breakers
    std::vector<Group> closed = {};
  };

  // The dispatcher: from the spool into flight.

  /// Whether another record may come into flight: not while others wait for room to be read again.
  [[nodiscard]] bool may_admit() const noexcept;
  /// Ids ascend.
  void admit(const Delivery& delivery, Steps& steps);
  /// While nothing else is stored, one live delivery at a time may tell whether it would be.
  [[nodiscard]] bool may_admit_live() const noexcept;
  void admit_live(SpoolId id);

  /// The next postponed delivery whose reason is over; it needs room in the budget.
  [[nodiscard]] const Delivery* first_released() const { return postponed_.first_released(); }
  [[nodiscard]] std::optional<Delivery> take_released() { return postponed_.take_released(); }
  /// A postponed delivery that is to be tried by itself: a probe, or one whose time has come. One
  /// at a time, outside of the budget, and for a fifth of the time at most.
  [[nodiscard]] std::optional<Delivery> take_solo(Time now);
  /// When take_solo() may have one without anything having happened before.
  [[nodiscard]] std::optional<Time> next_solo_at() const;

  // Decoders.

  /// With its object.
  void decoded(Delivery delivery, Steps& steps);
  /// It could not be decoded, and has not become a dead letter either: it comes round again.
  void undecoded(Delivery delivery, Time now, Steps& steps);
  /// It has left the spool, or will never be an object.
  void gone(const Delivery& delivery, Time now, Steps& steps);

  // Uploaders.

  /// The next delivery that may be uploaded; only a live one for an uploader of live ones.
  [[nodiscard]] std::optional<Delivery> next_upload(bool only_live, Time now);
  /// When it may have one without anything having happened before.
  [[nodiscard]] std::optional<Time> next_upload_at() const;
  /// Another one for the batch of a delivery of that lane.
  [[nodiscard]] std::optional<Delivery> next_of_batch(Lane lane);
  /// A request ended. With `remove` and `dead_letter` the delivery is the caller's: it calls
  /// removed() once that is done, or postpone() if it cannot be. Otherwise it has been dealt with.
  [[nodiscard]] RetryAction ended(Delivery& delivery, const PutResult& result, Time now,
                                  Steps& steps);
  /// A batch failed, which tells nothing about the deliveries in it.
  void batch_failed(std::vector<Delivery> batch, const PutResult& result, Time now, Steps& steps);
  /// Whether a question that is no delivery (for the bucket) may be asked now, and what came of it.
  [[nodiscard]] bool begin_ask(Time now);
  void asked(const PutResult& result, Time now, Steps& steps);

  /// It has left the spool.
  void removed(const Delivery& delivery, Time now, Steps& steps);
  void removed_live(const Delivery& delivery, Steps& steps);
  /// It comes round again after a pause.
  void postpone(const Delivery& delivery, Time now, Steps& steps);

  /// A dead letter that waits to be uploaded.
  void add_dead_letter(Delivery delivery, Steps& steps);

  [[nodiscard]] const CircuitBreakers& breakers() const noexcept { return breakers_; }
  [[nodiscard]] const UploadLanes& lanes() const noexcept { return lanes_; }
  [[nodiscard]] const Postponed& postponed() const noexcept { return postponed_; }
  /// Deliveries that are refused on their own, while others are stored.
  struct Alone {
    std::size_t deliveries = 0;
    PutResult cause;  // of the last one
    Time since;
  };
  [[nodiscard]] std::optional<Alone> refused_alone() const;
  /// Why nothing is stored at the moment, as far as that is known; nothing while nothing waits.
  [[nodiscard]] std::optional<CircuitBreakers::Open> refused_everything() const;

  /// The state as text, for the exhaustive test and for logs: two that have the same go on in the
  /// same way. Without times, and without what only they depend on, as the length of pauses.
  [[nodiscard]] std::string state() const;

 private:
  [[nodiscard]] std::vector<Group> groups_of(const Delivery& delivery) const;
  void apply(KeyOrder::Release release, Steps& steps);
  /// It may be uploaded, as far as its key is concerned.
  void enqueue(Delivery delivery, Steps& steps);
  void push(Delivery delivery, Steps& steps);
  [[nodiscard]] bool may_search() const noexcept;
  /// One that has less in common with the refused than all probes of that group tells more.
  void hurry_better_probe(std::string_view group, const std::vector<Group>& groups, Steps& steps);
  void wait_for(std::string_view group, Delivery delivery, Steps& steps);
  void wait_until(Time due, Delivery delivery, Steps& steps);
  /// It waits without its memory, and so do those behind it.
  void give_up_memory(const Delivery& delivery, Steps& steps);
  /// Nothing of it is in memory any more.
  void leave_memory(const Delivery& delivery, Steps& steps);
  void end_solo(const Delivery& delivery, Time now, bool was_stored, Steps& steps);
  void end_probe(const Delivery& delivery, Steps& steps);
  void end_live(const Delivery& delivery, bool stored, Steps& steps);
  void note_stored(const Delivery& delivery, Time now, Steps& steps);
  [[nodiscard]] RetryDecision note_refused(Delivery& delivery, const PutResult& result, Time now,
                                           Steps& steps);
  void open(std::string_view group, const PutResult& cause, Time now, Steps& steps);
  void unload_blocked(Steps& steps);

  RetryOptions retry_;
  KeyOrder order_;
  UploadLanes lanes_;
  CircuitBreakers breakers_;
  Postponed postponed_;
  std::deque<Delivery> probes_;  // decoded, to be uploaded whatever is open
  std::size_t live_ = 0;         // admitted, not ended
  std::size_t searched_ = 0;     // left the memory in search of others, since everything is open
  bool solo_is_running_ = false;
  bool solo_is_alone_ = false;  // it was among those that are refused alone
  Time solo_began_{};
  Time solo_not_before_{};
  PutResult alone_cause_;
  Time alone_since_{};
};

}  // namespace m2b
