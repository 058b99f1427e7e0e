#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <stop_token>
#include <vector>

#include "m2b/pipeline/options.hpp"
#include "m2b/upload/object_store.hpp"
#include "pipeline/batch_size.hpp"
#include "pipeline/flow.hpp"
#include "pipeline/upload_slots.hpp"

namespace m2b {

/// When uploads end: `begin_nothing` first, `abort` when the patience is over.
struct UploadStop {
  std::stop_token begin_nothing;
  std::stop_token abort;
};

/// One uploader thread: object in, outcome out. Fits one store connection.
class UploadWorker {
 public:
  /// The references outlive the worker.
  UploadWorker(const PipelineOptions& options, Flow& flow, UploadSlots& slots,
               BatchSize& batch_size, std::unique_ptr<ObjectStore> store, UploadStop stop)
      : may_batch_(options.batches),
        flow_(flow),
        slots_(slots),
        batch_size_(batch_size),
        store_(std::move(store)),
        stop_(std::move(stop)) {}

  /// Makes sure that the bucket is there, before the first picture comes; while the store is away
  /// it tries until somebody has found it well.
  void prepare_bucket();

  /// Until the flow is closed.
  void run();
  /// The same, of what goes ahead of its turn, and without a slot.
  void run_early();

 private:
  struct Batch {
    std::vector<UploadJob> jobs;
    std::optional<UploadJob> does_not_fit;
  };

  /// Uploads it, or a batch with it; nothing when the flow is closed or we are stopping.
  [[nodiscard]] std::optional<ConcurrencyLimit::Ended> upload_next(std::optional<UploadJob> job);
  [[nodiscard]] ConcurrencyLimit::Ended upload(UploadJob job, const StoreGate::Pass& pass);
  [[nodiscard]] ConcurrencyLimit::Ended upload(std::vector<UploadJob> batch,
                                               const StoreGate::Pass& pass);
  [[nodiscard]] bool fits_batch(const UploadJob& job) const;
  /// The job and those behind it, as many as are this uploader's share of what waits. One that does
  /// not fit ends it.
  [[nodiscard]] Batch fill_batch(UploadJob first);
  void settle(UploadJob job, const PutResult& result, const StoreGate::Pass& pass);
  void retry(UploadJob job, const PutResult& result);
  [[nodiscard]] PutResult put(const UploadJob& job);
  /// `together`: the objects of one request.
  void count_stored(const UploadJob& job, std::chrono::steady_clock::duration took,
                    std::size_t together);
  static void trace_failure(const UploadJob& job, const PutResult& result);

  const bool may_batch_;
  Flow& flow_;
  UploadSlots& slots_;
  BatchSize& batch_size_;
  std::unique_ptr<ObjectStore> store_;
  UploadStop stop_;
};

}  // namespace m2b
