#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <functional>
#include <future>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "bench/latencies.hpp"
#include "bench/pictures.hpp"
#include "bench/pipeline.hpp"
#include "bench/publisher.hpp"
#include "bench/sockets.hpp"

namespace m2b::bench {

/// Publishes the pictures of a run from several connections at a time, each in a thread of its own.
class Publishers {
 public:
  using Clock = std::chrono::steady_clock;

  Publishers(const PipelineRun& run, const Address& broker, const std::string& topic,
             const Picture& picture, Latencies& latencies, const std::stop_token& stop);
  /// What is not published yet never will be.
  ~Publishers() { stop_all(); }
  Publishers(const Publishers&) = delete;
  Publishers& operator=(const Publishers&) = delete;

  void start();
  /// Throws what one of them threw; true when all have ended.
  [[nodiscard]] bool ended();
  /// With a rate: what its time has not come for is not published, and they end.
  void no_more() { pace_.request_stop(); }
  /// So far.
  [[nodiscard]] std::size_t published() const noexcept { return published_; }
  [[nodiscard]] Clock::time_point begin() const noexcept { return begin_; }

 private:
  void publish_all(Publisher& publisher);
  void stop_all();

  const PipelineRun& run_;
  Latencies& latencies_;
  const Picture picture_;
  std::stop_source stop_;
  std::stop_source pace_;  // for those that wait for the time of the next message
  std::stop_callback<std::function<void()>> stop_with_all_;
  std::atomic<std::size_t> next_;
  std::atomic<std::size_t> published_ = 0;
  Clock::time_point begin_;
  std::vector<std::unique_ptr<Publisher>> publishers_;
  std::vector<std::future<void>> threads_;  // last: they use all of the above
};

}  // namespace m2b::bench
