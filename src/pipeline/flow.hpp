#pragma once

#include <condition_variable>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string_view>
#include <vector>

#include "m2b/pipeline/pipeline.hpp"
#include "m2b/util/bounded_queue.hpp"
#include "m2b/util/repetition.hpp"
#include "pipeline/byte_budget.hpp"
#include "pipeline/delivery.hpp"
#include "pipeline/in_flight.hpp"

namespace m2b {

/// What the stages share: InFlight under a mutex, the byte budgets, the queues between the stages,
/// and what InFlight's steps ask for: removals from the spool and dead letters. Thread-safe.
class Flow {
 public:
  using Clock = std::chrono::steady_clock;

  Flow(const PipelineOptions& options, Spool& spool);

  /// Called when the dispatcher may have something to do; set once, before the stages start.
  void set_change_listener(std::function<void()> listener) { on_change_ = std::move(listener); }
  /// Called after a message has become a dead letter; set once, before the stages start.
  void set_dead_letter_listener(std::function<void()> listener) {
    on_dead_letter_ = std::move(listener);
  }
  /// As Pipeline::set_stored_listener().
  void set_stored_listener(std::function<void(const Object&)> listener) {
    on_stored_ = std::move(listener);
  }

  // Dispatcher.

  /// Takes a record into flight. False when there is no room for it at the moment.
  [[nodiscard]] bool admit(const SpoolEntry& entry);
  /// Whether admit_live() is worth trying.
  [[nodiscard]] bool may_admit_live();
  /// Uploads it ahead of its turn as well, which nothing waits for. False as for admit().
  [[nodiscard]] bool admit_live(const SpoolEntry& entry);
  /// Whether that is of use: so much is in front of a record at its turn.
  [[nodiscard]] bool is_backed_up() const;
  /// Has postponed deliveries read again whose time has come, as far as there is room. Returns when
  /// to call it again, unless the change listener is called before.
  std::optional<Clock::time_point> requeue();

  // Decoders.

  /// The next record; waits for one; nothing when closed.
  [[nodiscard]] std::optional<Delivery> next_record() { return decode_queue_.pop(); }
  void decoded(Delivery delivery, std::shared_ptr<const Object> object);
  /// The record is not in the spool any more.
  void gone(const Delivery& delivery);
  void undecodable(const Delivery& delivery, std::string_view topic, const Rejection& rejection);

  // Uploaders.

  /// The next delivery that may be uploaded; waits for one; nothing when closed.
  [[nodiscard]] std::optional<Delivery> next_upload(bool only_live);
  /// Another one for the batch of a delivery of that lane, if there is one.
  [[nodiscard]] std::optional<Delivery> next_of_batch(Lane lane);
  /// How many wait for an uploader.
  [[nodiscard]] std::size_t waiting() const;
  [[nodiscard]] std::size_t waiting(Lane lane) const;
  /// A request ended: decides what becomes of the delivery and sees to it.
  void ended(Delivery delivery, const PutResult& result);
  void batch_failed(std::vector<Delivery> batch, const PutResult& result);

  /// Waits until a question may be asked that is no delivery (for the bucket); false when closed or
  /// when objects are stored by now. To be followed by asked().
  [[nodiscard]] bool wait_to_ask();
  void asked(const PutResult& result);

  // Dead letters.

  /// Uploads it among the others, one at a time. What became of it: `remove` when it is stored,
  /// `dead_letter` when it never will be, `abandon` when closed; otherwise not now.
  [[nodiscard]] RetryAction upload_dead_letter(SpoolId id, std::shared_ptr<const Object> object);

  /// Nothing more comes out; what is inside is abandoned.
  void close() noexcept;

  [[nodiscard]] PipelineStats& stats() noexcept { return stats_; }
  [[nodiscard]] StoreState store_state() const;
  [[nodiscard]] std::optional<StoreTrouble> store_trouble() const;
  [[nodiscard]] std::vector<Refusal> refusals() const;

 private:
  using Steps = InFlight::Steps;

  /// Calls change(steps), which tells InFlight what happened, with the mutex held.
  template <typename Change>
  [[nodiscard]] Steps steps_of(const Change& change);
  /// Does what the steps ask for, which may bring further ones.
  void carry_out(Steps steps);
  /// Wakes whom the steps concern.
  void tell(const Steps& steps);
  /// With the mutex held.
  void note_answer(const PutResult& result);
  void finish(const Delivery& delivery);
  void to_dead_letters(const Delivery& delivery, std::string_view name, std::string_view value,
                       const Rejection& rejection);
  void log_refusal(const Delivery& delivery, const PutResult& result, RetryAction action);
  void log_breakers(const Steps& steps);

  Spool& spool_;
  std::function<void()> on_change_;               // constant once the stages run
  std::function<void()> on_dead_letter_;          // likewise
  std::function<void(const Object&)> on_stored_;  // likewise
  ByteBudget budget_;
  ByteBudget live_budget_;
  BoundedQueue<Delivery> decode_queue_;
  const std::size_t backed_up_bytes_;
  PipelineStats stats_;
  std::stop_source closed_;
  Repetition dead_letter_lines_;
  Repetition refusal_lines_;
  Repetition breaker_lines_;

  mutable std::mutex mutex_;  // guards the fields below
  std::condition_variable upload_ready_;
  std::condition_variable live_ready_;
  std::condition_variable breakers_changed_;  // one opened or closed, or a probe ended
  std::condition_variable dead_letter_ended_;
  InFlight in_flight_;
  bool is_closed_ = false;
  bool has_answered_ = false;  // the store took an object, or an answer showed that it would
  std::optional<RetryAction> dead_letter_action_;
};

}  // namespace m2b
