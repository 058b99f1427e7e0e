#pragma once

#include <concurrentqueue/concurrentqueue.h>
#include <concurrentqueue/lightweightsemaphore.h>

#include <atomic>
#include <cstddef>
#include <mutex>
#include <optional>
#include <utility>

namespace m2b {

/// A bounded queue between threads, any number on each side, first in, first out. Closing wakes
/// everybody and abandons what is inside: only what can be had again from the spool may be put into
/// it.
///
/// moodycamel's capacity is a minimum, not a maximum, hence the semaphore of slots in front of it;
/// and it keeps order only within a producer, hence one producer's token for all.
template <class T>
class BoundedQueue {
 public:
  explicit BoundedQueue(std::size_t slots)
      : free_slots_(static_cast<ssize_t>(slots), kSpins), filled_slots_(0, kSpins) {}

  /// Waits for a free slot; false when the queue is closed.
  [[nodiscard]] bool push(T item) {
    free_slots_.wait();
    if (closed_.load(std::memory_order_acquire)) {
      return false;
    }
    {
      const std::lock_guard lock(push_mutex_);
      queue_.enqueue(token_, std::move(item));
    }
    filled_slots_.signal();
    return true;
  }

  /// Waits for an item; nothing when the queue is closed.
  [[nodiscard]] std::optional<T> pop() {
    filled_slots_.wait();
    return take();
  }

  /// The next item if there is one now.
  [[nodiscard]] std::optional<T> try_pop() {
    return filled_slots_.tryWait() ? take() : std::nullopt;
  }

  /// How many there were a moment ago.
  [[nodiscard]] std::size_t size() const noexcept { return filled_slots_.availableApprox(); }

  /// Idempotent; from any thread.
  void close() noexcept {
    if (!closed_.exchange(true, std::memory_order_acq_rel)) {
      free_slots_.signal(kMoreThanThreads);
      filled_slots_.signal(kMoreThanThreads);
    }
  }

 private:
  [[nodiscard]] std::optional<T> take() {
    if (closed_.load(std::memory_order_acquire)) {
      return std::nullopt;
    }
    T taken;
    // The semaphore promises an item, but the queue may need another look to find it.
    while (!queue_.try_dequeue(taken)) {
    }
    free_slots_.signal();
    return taken;
  }

  static constexpr int kSpins = 100;  // then sleep: an idle bridge must not burn a core
  static constexpr ssize_t kMoreThanThreads = 1 << 20;

  moodycamel::ConcurrentQueue<T> queue_;
  std::mutex push_mutex_;  // guards token_
  moodycamel::ProducerToken token_{queue_};
  moodycamel::LightweightSemaphore free_slots_;
  moodycamel::LightweightSemaphore filled_slots_;
  std::atomic<bool> closed_{false};
};

}  // namespace m2b
