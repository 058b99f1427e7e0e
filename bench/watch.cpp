#include "bench/watch.hpp"

#include <algorithm>
#include <stdexcept>

#include <fmt/format.h>

#include "bench/progress.hpp"
#include "bench/stop.hpp"
#include "m2b/util/thread.hpp"

namespace m2b::bench {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::seconds kPatience{60};

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

}  // namespace

Watched wait_for_all(Publishers& publishers, Bridge& bridge, const Watch& watch,
                     const std::stop_token& stop) {
  const Progress progress(watch.what);
  Watched seen;
  auto last_news = Clock::now();
  bool published = false;
  while (seen.count < watch.messages || !published) {
    if (!sleep_for(watch.poll, stop)) throw Interrupted();
    if (!published && publishers.ended()) {
      published = true;
      seen.publish_seconds = seconds_since(publishers.begin());
    }
    const Bridge::Account account = bridge.account();
    if (account.lost > 0) {
      throw std::runtime_error(fmt::format("{} messages did not become objects", account.lost));
    }
    const std::size_t count = account.*watch.count;
    if (count != seen.count || !published) last_news = Clock::now();
    seen.count = count;
    seen.peak_private_bytes = std::max(seen.peak_private_bytes, bridge.private_bytes());
    progress.show(seen.count, watch.messages);
    if (Clock::now() - last_news > kPatience) {
      throw std::runtime_error(fmt::format("nothing was {} for {} s; {} of {} are", watch.what,
                                           kPatience.count(), seen.count, watch.messages));
    }
  }
  seen.seconds = seconds_since(publishers.begin());
  return seen;
}

}  // namespace m2b::bench
