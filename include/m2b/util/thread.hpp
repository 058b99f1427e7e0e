#pragma once

#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>

namespace m2b {

/// Names the calling thread as it is seen in top and gdb (at most 15 bytes count).
void name_this_thread(const std::string& name) noexcept;

/// How many of so many more threads the process can have at the moment. Libraries that start
/// threads of their own do not always tell when they get none.
[[nodiscard]] std::size_t threads_to_be_had(std::size_t wanted);

/// The calling thread has what the others leave of the processors from now on.
void step_back() noexcept;

/// A joined, named thread; `body` takes a stop token. The last member of its owner.
template <class Body>
[[nodiscard]] std::jthread start_thread(std::string name, Body body) {
  return std::jthread(
      [name = std::move(name), body = std::move(body)](std::stop_token stop) mutable {
        name_this_thread(name);
        body(std::move(stop));
      });
}

/// Sleeps until the time has come or `stop` is requested; true when the whole time has passed.
template <class Duration>
bool sleep_for(Duration duration, const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any wakeup;
  std::unique_lock lock(mutex);
  wakeup.wait_for(lock, stop, duration, [] { return false; });
  return !stop.stop_requested();
}

}  // namespace m2b
