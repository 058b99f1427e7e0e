#include "bench/soak.hpp"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "bench/broker.hpp"
#include "bench/clock.hpp"
#include "bench/pictures.hpp"
#include "bench/publishers.hpp"
#include "bench/temporary_folder.hpp"
#include "bench/timed_store.hpp"
#include "bench/watch.hpp"

namespace m2b::bench {
namespace {

/// Each look costs the bridge a quarter of a millisecond.
constexpr std::chrono::milliseconds kSoakPoll{200};
constexpr double kMinute = 60;
constexpr std::size_t kLeastRows = 10;
/// The bench keeps the times of each.
constexpr double kMostMessages = 1e8;

/// A run in rows. The last one lasts until all is stored.
class Rows {
 public:
  Rows(const Bridge& bridge, double run_seconds, Clock::time_point begin)
      : bridge_(bridge),
        run_seconds_(run_seconds),
        count_(std::max(kLeastRows, static_cast<std::size_t>(run_seconds / kMinute))),
        begin_(begin),
        cpu_(bridge.cpu()) {}

  void look(std::size_t stored) {
    most_.raise_to(bridge_.footprint());
    const double row_seconds = std::min(kMinute, run_seconds_ / kLeastRows);
    const double due = row_seconds * static_cast<double>(rows_.size() + 1);
    if (rows_.size() + 1 < count_ && seconds() >= due) end_row(stored);
  }
  /// Whether the last row is open and its time has come.
  [[nodiscard]] bool may_end() const {
    return rows_.size() + 1 == count_ && seconds() >= run_seconds_;
  }
  [[nodiscard]] std::vector<SoakRow> end(std::size_t stored) {
    end_row(stored);
    return std::move(rows_);
  }

 private:
  [[nodiscard]] double seconds() const { return seconds_since(begin_); }
  void end_row(std::size_t stored);

  const Bridge& bridge_;
  const double run_seconds_;
  const std::size_t count_;
  const Clock::time_point begin_;
  std::vector<SoakRow> rows_;
  std::size_t stored_ = 0;  // these two: at the end of the last row
  CpuTime cpu_;
  Footprint most_;  // since then
};

void Rows::end_row(std::size_t stored) {
  SoakRow row;
  row.end_seconds = seconds();
  row.seconds = row.end_seconds - (rows_.empty() ? 0 : rows_.back().end_seconds);
  row.stored = stored - std::exchange(stored_, stored);
  const CpuTime cpu = bridge_.cpu();
  row.bridge_cpu = cpu - std::exchange(cpu_, cpu);
  row.most = std::exchange(most_, {});
  rows_.push_back(row);
}

/// Message n is due n / rate seconds after the first one.
void add_latencies(std::vector<SoakRow>& rows, double rate, const Latencies& latencies) {
  std::size_t first = 0;
  for (SoakRow& row : rows) {
    const bool is_last = &row == &rows.back();
    const std::size_t end = is_last ? std::numeric_limits<std::size_t>::max()
                                    : static_cast<std::size_t>(std::ceil(row.end_seconds * rate));
    row.latency = latencies.summary(first, end);
    first = end;
  }
}

std::size_t messages_in(double seconds, double rate) {
  const double messages = std::max(1.0, std::round(seconds * rate));
  if (messages > kMostMessages) {
    throw std::invalid_argument(
        fmt::format("--rate {:g} for so long is {:.0f} messages, more than {:.0f}; give a lower "
                    "--rate or fewer --minutes",
                    rate, messages, kMostMessages));
  }
  return static_cast<std::size_t>(messages);
}

double mean(std::span<const SoakRow> rows, std::uint64_t Footprint::*of) {
  double sum = 0;
  for (const SoakRow& row : rows) sum += static_cast<double>(row.most.*of);
  return sum / static_cast<double>(rows.size());
}

}  // namespace

SoakResult::Growth SoakResult::growth(std::uint64_t Footprint::*of) const {
  const std::span all(rows);
  const std::size_t third = all.size() / 3;
  return {mean(all.first(third), of), mean(all.last(third), of)};
}

SoakResult run_soak(const PipelineRun& run, double minutes, std::size_t picture_bytes,
                    const std::stop_token& stop) {
  const double run_seconds = minutes * kMinute;
  PipelineRun pictures = run;
  pictures.messages = messages_in(run_seconds, run.rate);
  SoakResult result{picture_bytes, run.rate, minutes, pictures.messages, 0, {}};

  const TemporaryFolder folder(run.folder);
  const std::string topic = fmt::format("mqtt-to-blob-bench/{}/picture", ::getpid());
  Latencies latencies(pictures.messages);
  const TimedStore store(run.store, folder.path(), latencies, true, stop);
  const Broker broker(run.broker, folder.path(), stop);
  Bridge bridge(
      daemon_program(run.bridge, {broker.address(), topic, run.qos, store.access(), folder.path()}),
      stop);
  Publishers publishers(pictures, broker.address(), topic, Picture(picture_bytes), latencies, stop);
  Watcher watcher(bridge, {"stored", &Bridge::Account::stored, pictures.messages, kSoakPoll}, stop);

  publishers.start();
  Rows rows(bridge, run_seconds, publishers.begin());
  bool published = false;
  while (!published || watcher.count() < pictures.messages || !rows.may_end()) {
    watcher.look(!published || watcher.count() == pictures.messages);
    rows.look(watcher.count());
    published = publishers.ended();
  }
  result.stored = watcher.count();
  result.rows = rows.end(watcher.count());
  add_latencies(result.rows, run.rate, latencies);
  return result;
}

}  // namespace m2b::bench
