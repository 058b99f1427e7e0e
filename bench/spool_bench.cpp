#include "bench/spool_bench.hpp"

#include <chrono>
#include <deque>
#include <future>
#include <stdexcept>
#include <string>

#include "bench/bare_writes.hpp"
#include "bench/clock.hpp"
#include "bench/pictures.hpp"
#include "bench/progress.hpp"
#include "bench/stop.hpp"
#include "bench/temporary_folder.hpp"
#include "m2b/spool/spool.hpp"

namespace m2b::bench {
namespace {

void expect_durable(std::future<Durability> ticket) {
  if (ticket.get() != Durability::durable) throw std::logic_error("the spool closed by itself");
}

}  // namespace

double append_pictures(const std::filesystem::path& folder, std::size_t picture_bytes,
                       std::size_t messages, std::size_t waiters, const std::stop_token& stop) {
  // The pictures' bytes must live until their ticket completes, so each open one has its own.
  std::vector<Picture> pictures(waiters, Picture(picture_bytes));
  SpoolOptions options;
  options.directory = folder;
  Spool spool(options);
  const Progress progress("spool, " + std::to_string(waiters) + " at a time");
  std::deque<std::future<Durability>> tickets;
  const auto begin = Clock::now();
  for (std::size_t number = 0; number < messages; ++number) {
    throw_if_stopped(stop);
    if (tickets.size() == waiters) {
      expect_durable(std::move(tickets.front()));
      tickets.pop_front();
    }
    tickets.push_back(spool.append({.topic = "bench/picture",
                                    .payload = pictures[number % waiters].message(number),
                                    .received_at = wall_now(),
                                    .qos = 1}));
  }
  for (auto& ticket : tickets) expect_durable(std::move(ticket));
  const double taken = seconds_since(begin);
  if (spool.totals().received != messages) throw std::logic_error("the spool lost messages");
  return taken;
}

SpoolResult run_spool(const SpoolRun& run, std::size_t picture_bytes, const std::stop_token& stop) {
  SpoolResult result;
  result.picture_bytes = picture_bytes;
  result.message_bytes = Picture(picture_bytes).message_bytes();
  result.messages = run.messages;
  result.waiters = run.waiters;
  const auto in_fresh_folder = [&](auto measure) {
    const TemporaryFolder folder(run.folder);
    return measure(folder.path());
  };
  result.limit_seconds = in_fresh_folder(
      [&](const auto& folder) { return bare_writes(folder, picture_bytes, run.messages, stop); });
  result.one_seconds = in_fresh_folder([&](const auto& folder) {
    return append_pictures(folder / "spool", picture_bytes, run.messages, 1, stop);
  });
  result.many_seconds = in_fresh_folder([&](const auto& folder) {
    return append_pictures(folder / "spool", picture_bytes, run.messages, run.waiters, stop);
  });
  return result;
}

}  // namespace m2b::bench
