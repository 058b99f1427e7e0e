#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string_view>

#include "m2b/pipeline/pipeline.hpp"
#include "m2b/util/bounded_queue.hpp"
#include "m2b/util/repetition.hpp"
#include "pipeline/byte_budget.hpp"
#include "pipeline/job.hpp"
#include "pipeline/key_order.hpp"
#include "pipeline/store_gate.hpp"
#include "pipeline/upload_queue.hpp"

namespace m2b {

/// What the stages share: the queues between them, the budget, the order of keys, and the ways out.
/// Thread-safe.
class Flow {
 public:
  /// What the feeder has to hear; set once, before the stages start.
  struct FeederHooks {
    std::function<void()> on_room;                // admit() or may_readmit() may have become true
    std::function<void(DecodeJob)> on_postponed;  // bring it round again after a pause
    std::function<void(DecodeJob)> on_parked;     // bring it round again now: its turn has come
  };

  Flow(const PipelineOptions& options, Spool& spool);
  void set_feeder(FeederHooks hooks) { feeder_ = std::move(hooks); }
  /// Called after a message has become a dead letter; set once, before the stages start.
  void set_burial_listener(std::function<void()> listener) { on_buried_ = std::move(listener); }

  /// As Pipeline::set_stored_listener().
  void set_stored_listener(std::function<void(const Object&)> listener) {
    on_stored_ = std::move(listener);
  }

  /// Feeder: takes a record into flight. False when there is no room for it at the moment.
  [[nodiscard]] bool admit(const SpoolEntry& entry);
  /// Feeder: whether admit_early() is worth trying: the store takes objects, and there is room.
  [[nodiscard]] bool may_admit_early();
  /// Feeder: uploads it ahead of its turn as well, which nothing waits for. False as for admit().
  [[nodiscard]] bool admit_early(const SpoolEntry& entry);
  /// Feeder: whether that is of use: so much is in front of a record at its turn.
  [[nodiscard]] bool is_backed_up() const {
    return upload_queue_.bytes_in_turn() > backed_up_bytes_;
  }
  /// Feeder: whether a record may come round again. They come one at a time and outside of the
  /// budget, which may be full of objects that wait behind this very record.
  [[nodiscard]] bool may_readmit() const noexcept { return !readmitted_.load(); }
  void readmit(DecodeJob job);

  /// Decoders: the next record; nothing when closed.
  [[nodiscard]] std::optional<DecodeJob> next_record() { return decode_queue_.pop(); }
  void decoded(const DecodeJob& job, std::unique_ptr<Object> object);
  /// The record is not there any more.
  void vanished(const DecodeJob& job);
  void undecodable(const DecodeJob& job, std::string_view topic, const Rejection& rejection);

  /// Uploaders: the objects that wait.
  [[nodiscard]] UploadQueue& upload_queue() noexcept { return upload_queue_; }
  void stored(const UploadJob& job);
  /// An early one that was not stored, whatever the reason: its turn will come.
  void leave_to_its_turn(const UploadJob& job);
  void rejected(const UploadJob& job, const Rejection& rejection);
  /// At the end of the line, so that an object's own fault does not keep the others from being
  /// tried.
  void try_again(UploadJob job);
  /// Leaves the memory and comes round again later; its key stays taken until then.
  void postpone(const UploadJob& job);

  /// Nothing more comes out; what is inside is abandoned.
  void close() noexcept;

  /// Uploaders: an object is in the store, early or at its turn.
  void show_stored(const Object& object) const {
    if (on_stored_) {
      on_stored_(object);
    }
  }

  [[nodiscard]] StoreGate& gate() noexcept { return gate_; }
  [[nodiscard]] PipelineStats& stats() noexcept { return stats_; }

 private:
  void proceed(KeyOrder::Release release);
  void end_early(SpoolId id, std::size_t budget_bytes, bool stored);
  void finish(SpoolId id, std::size_t budget_bytes, std::uint32_t postponements);
  void leave(std::size_t budget_bytes, std::uint32_t postponements);
  [[nodiscard]] Burial bury(SpoolId id, std::string_view name, std::string_view value,
                            const Rejection& rejection);

  Spool& spool_;
  FeederHooks feeder_;                            // constant once the stages run
  std::function<void()> on_buried_;               // likewise
  std::function<void(const Object&)> on_stored_;  // likewise
  ByteBudget budget_;
  ByteBudget early_budget_;
  BoundedQueue<DecodeJob> decode_queue_;
  UploadQueue upload_queue_;
  const std::size_t backed_up_bytes_;
  StoreGate gate_;
  PipelineStats stats_;
  std::stop_source closed_;
  Repetition dead_letter_lines_;
  std::atomic<bool> readmitted_{false};  // a record that came round again is under way
  std::mutex mutex_;                     // guards order_
  KeyOrder order_;
};

}  // namespace m2b
