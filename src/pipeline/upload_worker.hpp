#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <stop_token>
#include <utility>
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

/// One uploader thread: delivery in, result out. Fits one store connection.
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
  /// The same, of live deliveries, and without a slot.
  void run_live();

 private:
  struct Batch {
    std::vector<Delivery> deliveries;
    std::optional<Delivery> does_not_fit;
  };

  /// Uploads it, or a batch with it; nothing when the flow is closed.
  [[nodiscard]] std::optional<ConcurrencyLimit::Ended> upload_next(bool only_live);
  [[nodiscard]] ConcurrencyLimit::Ended upload(Delivery delivery);
  [[nodiscard]] ConcurrencyLimit::Ended upload(std::vector<Delivery> batch);
  [[nodiscard]] bool fits_batch(const Delivery& delivery) const;
  /// The delivery and those behind it, as many as are this uploader's share of what waits. One that
  /// does not fit ends it.
  [[nodiscard]] Batch fill_batch(Delivery first);
  /// `together`: the objects of one request.
  void count_stored(const Delivery& delivery, std::chrono::steady_clock::duration took,
                    std::size_t together);

  const bool may_batch_;
  Flow& flow_;
  UploadSlots& slots_;
  BatchSize& batch_size_;
  std::unique_ptr<ObjectStore> store_;
  UploadStop stop_;
};

}  // namespace m2b
