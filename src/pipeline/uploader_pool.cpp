#include "pipeline/uploader_pool.hpp"

#include <fmt/format.h>

#include <utility>

#include "m2b/util/thread.hpp"

namespace m2b {
namespace {

/// As long as there is nothing to be learned from a backlog.
constexpr std::size_t kLeastSlots = 4;
/// Fills a line of 50 Mbit/s and 200 ms with objects of 12 KiB.
constexpr std::size_t kMostSlots = 128;

ConcurrencyLimit limit_of(const PipelineOptions& options) {
  return options.uploaders > 0 ? ConcurrencyLimit(options.uploaders, options.uploaders)
                               : ConcurrencyLimit(kLeastSlots, kMostSlots);
}

}  // namespace

UploaderPool::UploaderPool(const PipelineOptions& options, Flow& flow,
                           const Pipeline::StoreFactory& make_store, UploadStop stop)
    : options_(options),
      flow_(flow),
      make_store_(make_store),
      stop_(std::move(stop)),
      slots_(limit_of(options)) {
  slots_.set_growth_listener([this](std::size_t slots) { grow_to(slots); });
}

void UploaderPool::start() { grow_to(slots_.count()); }

void UploaderPool::wait_until_idle(std::chrono::milliseconds patience) {
  std::unique_lock lock(mutex_);
  ended_.wait_for(lock, patience, [this] { return running_ == 0; });
}

void UploaderPool::join() {
  std::vector<std::jthread> threads;
  {
    const std::lock_guard lock(mutex_);
    threads.swap(threads_);
  }
}

void UploaderPool::grow_to(std::size_t threads) {
  const std::lock_guard lock(mutex_);
  while (threads_.size() < threads && !stop_.begin_nothing.stop_requested()) {
    const std::size_t number = threads_.size();
    ++running_;
    threads_.push_back(start_thread(
        fmt::format("upload-{}", number),
        [this, number](const std::stop_token&) { run(/*prepares_bucket=*/number == 0); }));
  }
}

void UploaderPool::run(bool prepares_bucket) {
  UploadWorker worker(options_, flow_, slots_, batch_size_, make_store_(), stop_);
  if (prepares_bucket) {
    worker.prepare_bucket();
  }
  worker.run();
  const std::lock_guard lock(mutex_);
  --running_;
  ended_.notify_all();
}

}  // namespace m2b
