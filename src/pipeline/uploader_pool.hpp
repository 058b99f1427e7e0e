#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <functional>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "m2b/pipeline/options.hpp"
#include "m2b/pipeline/pipeline.hpp"
#include "m2b/util/repetition.hpp"
#include "pipeline/batch_size.hpp"
#include "pipeline/flow.hpp"
#include "pipeline/upload_slots.hpp"
#include "pipeline/upload_worker.hpp"

namespace m2b {

/// The uploader threads, as many as there were ever slots for, and a few besides for what goes
/// ahead of its turn, so that it need not wait for one of the others. Those that have no slot or no
/// work at the moment sleep.
class UploaderPool {
 public:
  /// The references outlive the pool.
  UploaderPool(const PipelineOptions& options, Flow& flow, const Pipeline::StoreFactory& make_store,
               UploadStop stop);
  /// Joins; both stop tokens have been requested by then.
  ~UploaderPool() { join(); }
  UploaderPool(const UploaderPool&) = delete;
  UploaderPool& operator=(const UploaderPool&) = delete;

  /// With fewer than wanted where no more threads can be had; std::system_error where there is not
  /// even one.
  void start();
  /// After `begin_nothing`: until all have ended, or `patience` is over.
  void wait_until_idle(std::chrono::milliseconds patience);
  /// After `abort`. Idempotent.
  void join();

  /// How many may upload at a time.
  [[nodiscard]] std::size_t slots() const { return slots_.count(); }

 private:
  /// Returns how many there are then: fewer where no more threads can be had.
  std::size_t grow_to(std::size_t threads);
  void warn_of(const std::system_error& error, std::size_t threads, std::size_t wanted);
  /// A thread that lets a worker do that. Needs mutex_.
  [[nodiscard]] std::jthread start_worker(std::string name,
                                          std::function<void(UploadWorker&)> work);

  const PipelineOptions& options_;
  Flow& flow_;
  const Pipeline::StoreFactory& make_store_;
  const UploadStop stop_;
  Repetition failures_;
  UploadSlots slots_;
  BatchSize batch_size_;
  std::mutex mutex_;  // guards the fields below
  std::condition_variable ended_;
  std::size_t running_ = 0;
  std::vector<std::jthread> threads_;
  std::vector<std::jthread> live_threads_;
};

}  // namespace m2b
