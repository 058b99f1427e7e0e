#include "pipeline/uploader_pool.hpp"

#include <fmt/format.h>

#include <utility>

#include "m2b/util/log.hpp"
#include "m2b/util/thread.hpp"

namespace m2b {
namespace {

/// As long as there is nothing to be learned from a backlog.
constexpr std::size_t kLeastSlots = 4;
/// Fills a line of 50 Mbit/s and 200 ms with objects of 12 KiB.
constexpr std::size_t kMostSlots = 128;

/// For pictures that come in while a backlog leaves: a few at a time, or a batch each.
constexpr std::size_t kLiveUploaders = 4;

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
  slots_.set_growth_listener([this](std::size_t slots) { return grow_to(slots); });
}

void UploaderPool::start() {
  grow_to(slots_.count());
  if (options_.uploaders > 0 || options_.live_percent == 0) {
    return;
  }
  const std::lock_guard lock(mutex_);
  try {
    for (std::size_t number = 0; number < kLiveUploaders; ++number) {
      live_threads_.push_back(start_worker(fmt::format("upload-live-{}", number),
                                           [](UploadWorker& worker) { worker.run_live(); }));
    }
  } catch (const std::system_error& error) {
    warn_of(error, live_threads_.size(), kLiveUploaders);  // what comes in waits for its turn
  }
}

void UploaderPool::wait_until_idle(std::chrono::milliseconds patience) {
  std::unique_lock lock(mutex_);
  ended_.wait_for(lock, patience, [this] { return running_ == 0; });
}

void UploaderPool::join() {
  std::vector<std::jthread> threads;
  std::vector<std::jthread> live_threads;
  {
    const std::lock_guard lock(mutex_);
    threads.swap(threads_);
    live_threads.swap(live_threads_);
  }
}

std::size_t UploaderPool::grow_to(std::size_t threads) {
  const std::lock_guard lock(mutex_);
  try {
    while (threads_.size() < threads && !stop_.begin_nothing.stop_requested()) {
      const std::size_t number = threads_.size();
      threads_.push_back(start_worker(fmt::format("upload-{}", number), [number](auto& worker) {
        if (number == 0) {
          worker.prepare_bucket();
        }
        worker.run();
      }));
    }
  } catch (const std::system_error& error) {
    if (threads_.empty()) {
      throw;
    }
    warn_of(error, threads_.size(), threads);
  }
  return threads_.size();
}

void UploaderPool::warn_of(const std::system_error& error, std::size_t threads,
                           std::size_t wanted) {
  if (const auto held_back = failures_.admit("thread")) {
    log::warn("pipeline", "no more threads can be had; goes on with fewer uploaders",
              {{"cause", error.what()},
               {"uploaders", threads},
               {"wanted", wanted},
               {"repeated", *held_back}});
  }
}

std::jthread UploaderPool::start_worker(std::string name, std::function<void(UploadWorker&)> work) {
  std::jthread thread =
      start_thread(std::move(name), [this, work = std::move(work)](const std::stop_token&) {
        UploadWorker worker(options_, flow_, slots_, batch_size_, make_store_(), stop_);
        work(worker);
        const std::lock_guard lock(mutex_);
        --running_;
        ended_.notify_all();
      });
  ++running_;  // the thread needs mutex_ before it can end
  return thread;
}

}  // namespace m2b
