#include "bench/fifo_bench.hpp"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <deque>
#include <future>
#include <random>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include <fmt/format.h>

#include "bench/bare_writes.hpp"
#include "bench/clock.hpp"
#include "bench/pictures.hpp"
#include "bench/progress.hpp"
#include "bench/stop.hpp"
#include "bench/temporary_folder.hpp"
#include "m2b/spool/spool.hpp"

namespace m2b::bench {
namespace {

constexpr std::size_t kMinFifoBytes = 1024;
constexpr std::size_t kTenths = 10;
/// Of a tenth: after each the disk's limit is measured, with a share of its bytes.
constexpr std::size_t kParts = 4;
constexpr std::size_t kLimitShare = 16;
/// While the queue becomes longer, so many of the steps append, otherwise as many remove.
constexpr double kDrift = 2.0 / 3;
constexpr std::string_view kTopic = "bench/fifo";

/// The same sizes and bytes in every run.
class Messages {
 public:
  Messages() : bytes_(2 * kMaxFifoBytes, '\0') {
    std::generate(bytes_.begin(), bytes_.end(), [this] { return static_cast<char>(random_()); });
  }

  /// From 0 to 1.
  [[nodiscard]] double dice() { return std::uniform_real_distribution<double>()(random_); }

  /// As many between 1 and 2 KiB as between 2 and 4 MiB; valid as long as this object. Each is
  /// another part of the same bytes, so that nothing is copied and none is mistaken for another.
  [[nodiscard]] std::string_view next() {
    constexpr double kRange = static_cast<double>(kMaxFifoBytes) / kMinFifoBytes;
    const auto size = static_cast<std::size_t>(kMinFifoBytes * std::pow(kRange, dice()));
    return std::string_view(bytes_).substr(random_() % kMaxFifoBytes, size);
  }

 private:
  std::mt19937_64 random_;  // NOLINT(cert-msc51-cpp): the same in every run
  std::string bytes_;
};

SpoolOptions options_of(const std::filesystem::path& folder) {
  SpoolOptions options;
  options.directory = folder;
  return options;
}

/// A spool, and what should be in it. One thread, like the daemon's dispatcher, reads and removes
/// while it appends; the spool's writer commits meanwhile.
class Fifo {
 public:
  Fifo(const FifoRun& run, const std::filesystem::path& folder, const std::stop_token& stop)
      : run_(run),
        stop_(stop),
        file_(folder / "records" / "data.mdb"),
        spool_(options_of(folder)) {}

  /// Until the queue is as short as it will be from now on.
  void fill() {
    while (queued_bytes_ < least_queued_bytes()) append();
    goal_bytes_ = appended_bytes_;
  }
  /// Appends so many bytes more, and keeps the queue's length where it should be.
  void pass(std::uint64_t bytes, FifoTenth& tenth);
  /// Removes what is left, and asks the spool for its accounts. The number of messages.
  [[nodiscard]] std::size_t drain();

 private:
  struct Queued {
    std::string_view payload;
    std::future<Durability> ticket;  // not valid any more when it is known to be durable
  };

  [[nodiscard]] std::uint64_t least_queued_bytes() const { return run_.most_queued_bytes / 4; }
  [[nodiscard]] bool is_to_append(std::size_t bytes);
  void append();
  void remove_oldest();
  void wait_until_durable(Queued& queued) const;

  const FifoRun& run_;
  const std::stop_token stop_;
  const std::filesystem::path file_;
  Messages messages_;  // before the spool, which uses their bytes until it is closed
  Spool spool_;
  std::string_view next_ = messages_.next();
  std::deque<Queued> queue_;
  std::size_t removed_ = 0;
  std::uint64_t appended_bytes_ = 0;
  std::uint64_t goal_bytes_ = 0;  // of these
  std::uint64_t queued_bytes_ = 0;
  std::uint64_t aim_bytes_ = 0;  // of the queue
  bool becomes_longer_ = true;
};

void Fifo::pass(std::uint64_t bytes, FifoTenth& tenth) {
  const std::uint64_t before = appended_bytes_;
  const CpuTime cpu_before = cpu_time(::getpid());
  const auto begin = Clock::now();
  goal_bytes_ += bytes;  // what a message was too long last time is missing now
  while (appended_bytes_ < goal_bytes_) {
    throw_if_stopped(stop_);
    if (is_to_append(next_.size())) {
      append();
    } else {
      remove_oldest();
    }
    tenth.peak_queued_bytes = std::max(tenth.peak_queued_bytes, spool_.totals().waiting_bytes);
  }
  tenth.bytes += appended_bytes_ - before;
  tenth.seconds += seconds_since(begin);
  tenth.cpu += cpu_time(::getpid()) - cpu_before;
  tenth.file_bytes = std::filesystem::file_size(file_);
}

std::size_t Fifo::drain() {
  while (!queue_.empty()) {
    throw_if_stopped(stop_);
    remove_oldest();
  }
  spool_.close();
  const SpoolTotals totals = spool_.totals();
  if (totals.received != removed_ || totals.stored != removed_ || totals.waiting_bytes != 0) {
    throw std::runtime_error(fmt::format(
        "{} messages were appended and removed; the spool says {} and {}, and that {} bytes wait",
        removed_, totals.received, totals.stored, totals.waiting_bytes));
  }
  return removed_;
}

/// Towards a length of the queue, and when that is reached, towards another.
bool Fifo::is_to_append(std::size_t bytes) {
  const bool is_there = becomes_longer_ == (queued_bytes_ >= aim_bytes_);
  if (is_there) {
    // As long as it may be, with room for one more message.
    const std::uint64_t longest = run_.most_queued_bytes - kMaxFifoBytes;
    const auto range = static_cast<double>(longest - least_queued_bytes());
    aim_bytes_ = least_queued_bytes() + static_cast<std::uint64_t>(messages_.dice() * range);
    becomes_longer_ = queued_bytes_ < aim_bytes_;
  }
  const bool appends = (messages_.dice() < kDrift) == becomes_longer_;
  if (queued_bytes_ + bytes > run_.most_queued_bytes) return false;
  return appends || queued_bytes_ <= least_queued_bytes();
}

void Fifo::append() {
  if (queue_.size() >= run_.waiters) wait_until_durable(queue_[queue_.size() - run_.waiters]);
  queue_.push_back(
      {next_,
       spool_.append({.topic = kTopic, .payload = next_, .received_at = wall_now(), .qos = 1})});
  appended_bytes_ += next_.size();
  queued_bytes_ += next_.size();
  next_ = messages_.next();
}

void Fifo::remove_oldest() {
  wait_until_durable(queue_.front());
  const std::string_view payload = queue_.front().payload;
  const SpoolId id{removed_ + 1};  // docs/spool-format.md: from 1 on, in order of arrival
  const ReadResult read = spool_.read(id);
  const Record* const record = std::get_if<Record>(&read);
  if (record == nullptr || record->message().payload != payload) {
    throw std::runtime_error(
        fmt::format("message {} of {} bytes is not in the spool as it was appended", to_number(id),
                    payload.size()));
  }
  if (!spool_.remove_stored(id, stop_)) throw Interrupted();
  queue_.pop_front();
  queued_bytes_ -= payload.size();
  ++removed_;
}

void Fifo::wait_until_durable(Queued& queued) const {
  constexpr std::chrono::milliseconds kLook{100};  // for Ctrl-C, should the disk be full
  if (!queued.ticket.valid()) return;
  while (queued.ticket.wait_for(kLook) != std::future_status::ready) throw_if_stopped(stop_);
  if (queued.ticket.get() != Durability::durable) {
    throw std::logic_error("the spool closed by itself");
  }
}

/// What the disk takes at the moment, in bytes a second.
double limit_now(const FifoRun& run, std::uint64_t bytes, const std::stop_token& stop) {
  constexpr std::size_t kPictureBytes = std::size_t{3} << 20;
  static const std::size_t message_bytes = Picture(kPictureBytes).message_bytes();
  const std::size_t writes = std::max<std::size_t>(1, bytes / message_bytes);
  const TemporaryFolder folder(run.folder);
  return static_cast<double>(writes * message_bytes) /
         bare_writes(folder.path(), kPictureBytes, writes, stop);
}

}  // namespace

std::uint64_t FifoResult::peak_queued_bytes() const {
  return std::max_element(tenths.begin(), tenths.end(),
                          [](const FifoTenth& a, const FifoTenth& b) {
                            return a.peak_queued_bytes < b.peak_queued_bytes;
                          })
      ->peak_queued_bytes;
}

FifoResult run_fifo(const FifoRun& run, const std::stop_token& stop) {
  FifoResult result{run, 0, {}};
  const TemporaryFolder folder(run.folder);
  Fifo fifo(run, folder.path() / "spool", stop);
  const Progress progress("tenths of the bytes");
  fifo.fill();
  while (result.tenths.size() < kTenths) {
    progress.show(result.tenths.size(), kTenths);
    FifoTenth& tenth = result.tenths.emplace_back();
    for (std::size_t part = 0; part < kParts; ++part) {
      const std::uint64_t bytes = run.total_bytes / kTenths / kParts;
      fifo.pass(bytes, tenth);
      tenth.limit_bytes_per_second += limit_now(run, bytes / kLimitShare, stop) / kParts;
    }
  }
  result.messages = fifo.drain();
  return result;
}

}  // namespace m2b::bench
