#pragma once

#include <memory>
#include <optional>
#include <stop_token>

#include "m2b/upload/object_store.hpp"
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
  UploadWorker(Flow& flow, UploadSlots& slots, std::unique_ptr<ObjectStore> store, UploadStop stop)
      : flow_(flow), slots_(slots), store_(std::move(store)), stop_(std::move(stop)) {}

  /// Makes sure that the bucket is there, before the first picture comes; while the store is away
  /// it tries until somebody has found it well.
  void prepare_bucket();

  /// Until the flow is closed.
  void run();

 private:
  /// The next object and what became of it; nothing when the flow is closed or we are stopping.
  [[nodiscard]] std::optional<ConcurrencyLimit::Ended> upload_next();
  void settle(UploadJob job, const PutResult& result, const StoreGate::Pass& pass);
  void retry(UploadJob job, const PutResult& result);
  [[nodiscard]] PutResult put(const UploadJob& job);

  Flow& flow_;
  UploadSlots& slots_;
  std::unique_ptr<ObjectStore> store_;
  UploadStop stop_;
};

}  // namespace m2b
