#include "bench/watch.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include <fmt/format.h>

#include "bench/clock.hpp"
#include "bench/stop.hpp"
#include "m2b/util/thread.hpp"

namespace m2b::bench {
namespace {

constexpr std::chrono::seconds kPatience{60};
/// Of the time that is left, until the next question.
constexpr double kPartOfRest = 0.125;

}  // namespace

Watcher::Watcher(Bridge& bridge, Watch watch, const std::stop_token& stop)
    : bridge_(bridge), watch_(std::move(watch)), stop_(stop), progress_(watch_.what) {}

void Watcher::look(bool may_be_quiet) {
  if (!sleep_for(pause(), stop_)) throw Interrupted();
  const Bridge::Account account = bridge_.account();
  if (account.lost > 0) {
    throw std::runtime_error(fmt::format("{} messages did not become objects", account.lost));
  }
  const std::size_t count = account.*watch_.count;
  if (count != count_ || may_be_quiet) last_news_ = Clock::now();
  count_ = count;
  peak_private_bytes_ = std::max(peak_private_bytes_, bridge_.private_bytes());
  progress_.show(count_, watch_.messages);
  if (Clock::now() - last_news_ > kPatience) {
    throw std::runtime_error(fmt::format("nothing was {} for {} s; {} of {} are", watch_.what,
                                         kPatience.count(), count_, watch_.messages));
  }
}

Clock::duration Watcher::pause() const {
  if (count_ == 0) return watch_.poll;
  const double rest_seconds =
      seconds_since(begin_) / static_cast<double>(count_) *
      static_cast<double>(watch_.messages - std::min(count_, watch_.messages));
  const auto wanted = std::chrono::duration_cast<std::chrono::milliseconds>(
      std::chrono::duration<double>(rest_seconds * kPartOfRest));
  return std::clamp(wanted, watch_.poll, watch_.longest_poll);
}

Watched wait_for_all(Publishers& publishers, Bridge& bridge, const Watch& watch,
                     const std::stop_token& stop) {
  Watcher watcher(bridge, watch, stop);
  Watched seen;
  bool published = false;
  while (watcher.count() < watch.messages || !published) {
    watcher.look(!published);
    if (!published && publishers.ended()) {
      published = true;
      seen.publish_seconds = seconds_since(publishers.begin());
    }
  }
  seen.seconds = seconds_since(publishers.begin());
  seen.count = watcher.count();
  seen.peak_private_bytes = watcher.peak_private_bytes();
  return seen;
}

}  // namespace m2b::bench
