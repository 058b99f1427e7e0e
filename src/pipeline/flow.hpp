#pragma once

#include <atomic>
#include <functional>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string_view>
#include <vector>

#include "m2b/pipeline/pipeline.hpp"
#include "m2b/util/bounded_queue.hpp"
#include "m2b/util/repetition.hpp"
#include "pipeline/byte_budget.hpp"
#include "pipeline/job.hpp"
#include "pipeline/key_order.hpp"
#include "pipeline/store_gate.hpp"

namespace m2b {

/// What the stages share: the queues between them, the budget, the order of keys, and the way out.
/// Thread-safe.
class Flow {
 public:
  Flow(const PipelineOptions& options, Spool& spool);

  /// Feeder: takes a record into flight. False when the budget has no room for it at the moment;
  /// the listener is called when that may have changed.
  [[nodiscard]] bool admit(const SpoolEntry& entry);
  /// Feeder: whether a postponed record may come round again. They come one at a time and outside
  /// of the budget, which may be full of objects that wait behind this very record.
  [[nodiscard]] bool may_readmit() const noexcept { return !readmitted_.load(); }
  void readmit(DecodeJob job);
  /// `listener` is called when admit() or may_readmit() may have become true; set once, before the
  /// stages start.
  void set_room_listener(std::function<void()> listener);

  /// Decoders: the next record; nothing when closed.
  [[nodiscard]] std::optional<DecodeJob> next_record() { return decode_queue_.pop(); }
  void decoded(const DecodeJob& job, Object object);
  /// The record is not there any more.
  void vanished(const DecodeJob& job);
  void undecodable(const DecodeJob& job, std::string_view topic, Rejection rejection);

  /// Uploaders: the next object; nothing when closed.
  [[nodiscard]] std::optional<UploadJob> next_object() { return upload_queue_.pop(); }
  void stored(const UploadJob& job);
  void rejected(const UploadJob& job, Rejection rejection);
  /// The job leaves the memory; its key stays taken until it comes round again.
  void left(std::size_t bytes, std::uint32_t postponements);

  /// Nothing more comes out; what is inside is abandoned.
  void close() noexcept;

  [[nodiscard]] StoreGate& gate() noexcept { return gate_; }
  [[nodiscard]] PipelineStats& stats() noexcept { return stats_; }

 private:
  void push(std::vector<UploadJob> jobs);
  void finish(SpoolId id, std::size_t bytes, std::uint32_t postponements,
              std::optional<Rejection> rejection);
  [[nodiscard]] bool settle(SpoolId id, std::optional<Rejection> rejection);
  void count_dead_letter(SpoolId id, std::string_view name, std::string_view value,
                         const Rejection& rejection);

  Spool& spool_;
  ByteBudget budget_;
  BoundedQueue<DecodeJob> decode_queue_;
  BoundedQueue<UploadJob> upload_queue_;
  StoreGate gate_;
  PipelineStats stats_;
  std::stop_source closed_;
  Repetition dead_letter_lines_;
  std::function<void()> room_listener_;  // constant once the stages run
  std::atomic<bool> readmitted_{false};  // a postponed record is under way
  std::mutex mutex_;                     // guards order_
  KeyOrder order_;
};

}  // namespace m2b
