#include "bench/publishers.hpp"

#include <unistd.h>

#include <algorithm>

#include <fmt/format.h>

#include "bench/stop.hpp"
#include "m2b/util/thread.hpp"

namespace m2b::bench {
namespace {

/// Of one publisher without acknowledgement. Paho's thread sleeps for up to a second when a socket
/// takes no more (it then waits for input alone, seen in 1.3.12), so the socket's buffer, of 4 MiB
/// at most, must never be full.
constexpr std::size_t kMaxBytesInFlight = std::size_t{5} << 19;

}  // namespace

Publishers::Publishers(const PipelineRun& run, const Address& broker, const std::string& topic,
                       const Picture& picture, Latencies& latencies, const std::stop_token& stop)
    : run_(run),
      latencies_(latencies),
      picture_(picture),
      stop_with_all_(stop, [this] { stop_all(); }),
      next_(run.first) {
  const std::size_t in_flight =
      std::clamp<std::size_t>(kMaxBytesInFlight / picture_.message_bytes(), 1, run.in_flight);
  for (unsigned i = 0; i < run.publishers; ++i) {
    const std::string client = fmt::format("mqtt-to-blob-bench-{}-{}", ::getpid(), i);
    publishers_.push_back(std::make_unique<Publisher>(
        Publisher::Options{broker, client, topic, run.qos, in_flight}, stop_.get_token()));
  }
}

void Publishers::start() {
  begin_ = Clock::now();
  for (auto& publisher : publishers_) {
    threads_.push_back(
        std::async(std::launch::async, [this, &publisher] { publish_all(*publisher); }));
  }
}

bool Publishers::ended() {
  return std::all_of(threads_.begin(), threads_.end(), [](std::future<void>& thread) {
    if (!thread.valid()) return true;
    if (thread.wait_for(std::chrono::seconds(0)) != std::future_status::ready) return false;
    thread.get();
    return true;
  });
}

void Publishers::publish_all(Publisher& publisher) {
  Picture picture = picture_;
  const std::size_t end = run_.first + run_.messages;
  for (std::size_t number = next_++; number < end; number = next_++) {
    if (run_.rate > 0) {
      const auto at = begin_ + std::chrono::duration<double>(
                                   static_cast<double>(number - run_.first) / run_.rate);
      if (!sleep_for(at - Clock::now(), pace_.get_token())) break;
    }
    latencies_.published(number);
    publisher.publish(picture.message(number));
    ++published_;
  }
  throw_if_stopped(stop_.get_token());
  publisher.wait_until_acknowledged();
}

void Publishers::stop_all() {
  stop_.request_stop();  // first: whose pause ends then sees why
  pace_.request_stop();
}

}  // namespace m2b::bench
