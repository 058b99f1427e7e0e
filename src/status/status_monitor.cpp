#include "m2b/status/status_monitor.hpp"

#include <fmt/format.h>

#include <chrono>
#include <mutex>
#include <optional>
#include <stop_token>
#include <thread>
#include <utility>
#include <vector>

#include "m2b/util/thread.hpp"
#include "m2b/util/visible.hpp"
#include "status/diagnosis.hpp"
#include "status/history.hpp"
#include "status/snapshot.hpp"
#include "status/status_json.hpp"
#include "status/words.hpp"

namespace m2b {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds kRefresh{5};
/// An older sentence is not shown as if it were of now.
constexpr std::chrono::seconds kStale{30};
/// A thread that was woken answers at once; a busy machine and a slow disk take longer.
constexpr std::chrono::seconds kStuck{30};
constexpr std::chrono::seconds kRatesOver{10};
constexpr std::chrono::minutes kUnsteadyWithin{10};

}  // namespace

class StatusMonitor::Impl {
 public:
  explicit Impl(StatusSources sources) : sources_(std::move(sources)) {}

  void start() {
    poke();
    refresh();
    thread_ = start_thread("status-monitor", [this](const std::stop_token& stop) {
      while (sleep_for(kRefresh, stop)) {
        refresh();
        poke();
      }
    });
  }

  void stop() {
    thread_.request_stop();
    if (thread_.joinable()) {
      thread_.join();
    }
  }

  [[nodiscard]] const StatusSources& sources() const noexcept { return sources_; }

  [[nodiscard]] StatusView view() const {
    StatusView view;
    view.snapshot = take_snapshot(sources_, started_at_);
    view.snapshot.stuck_threads = stuck_threads();
    const Sample now = view.snapshot.sample();
    view.trends = {.now = history_.rates(now, kRatesOver),
                   .longer = history_.rates(now, span_of_trend(view.snapshot)),
                   .connections_lost = history_.connections_lost(now, kUnsteadyWithin),
                   .store_outages = history_.store_outages(now, kUnsteadyWithin),
                   .stands_still_for = history_.stands_still_for(now),
                   .oldest_unchanged_for = history_.oldest_unchanged_for(now)};
    view.curves = history_.curves();
    view.diagnosis = diagnose(view.snapshot, view.trends);
    return view;
  }

  [[nodiscard]] std::string sentence() const {
    const std::lock_guard lock(mutex_);
    const auto age = std::chrono::floor<std::chrono::seconds>(Clock::now() - refreshed_at_);
    return age < kStale
               ? sentence_
               : fmt::format("Reading the queue in {} has not ended for {}; before that: {}",
                             sources_.names.spool, words::duration(age), sentence_);
  }

 private:
  void refresh() {
    StatusView now = view();
    if (!sampled_at_ || now.snapshot.at - *sampled_at_ >= History::kStep) {
      history_.add(now.snapshot.sample());
      sampled_at_ = now.snapshot.at;
    }
    const std::lock_guard lock(mutex_);
    sentence_ = visible(now.diagnosis.sentence);
    refreshed_at_ = Clock::now();
  }

  void poke() {
    if (sources_.poke) {
      sources_.poke();
    }
    const std::lock_guard lock(mutex_);
    poked_before_ = std::exchange(poked_, Clock::now());
  }

  /// Those that have not answered to the poke before the last one: where this monitor itself was
  /// held up, nobody was asked meanwhile.
  [[nodiscard]] std::vector<StatusSnapshot::StuckThread> stuck_threads() const {
    std::vector<StatusSnapshot::StuckThread> stuck;
    const std::lock_guard lock(mutex_);
    const auto now = Clock::now();
    for (const NamedPulse& thread : sources_.pulses) {
      const auto silent = thread.pulse->silent_for(now);
      if (silent >= kStuck && now - silent < poked_before_) {
        stuck.push_back({thread.name, std::chrono::floor<std::chrono::seconds>(silent)});
      }
    }
    return stuck;
  }

  const StatusSources sources_;
  const Clock::time_point started_at_ = Clock::now();
  History history_;
  std::optional<Clock::time_point> sampled_at_;  // by the thread, and by start() before it

  mutable std::mutex mutex_;  // guards the fields below
  std::string sentence_;
  Clock::time_point refreshed_at_;
  Clock::time_point poked_;
  Clock::time_point poked_before_;

  std::jthread thread_;
};

StatusMonitor::StatusMonitor(StatusSources sources)
    : impl_(std::make_unique<Impl>(std::move(sources))) {}

StatusMonitor::~StatusMonitor() = default;

void StatusMonitor::start() { impl_->start(); }

void StatusMonitor::stop() { impl_->stop(); }

const StatusSources& StatusMonitor::sources() const noexcept { return impl_->sources(); }

StatusView StatusMonitor::view() const { return impl_->view(); }

std::string StatusMonitor::sentence() const { return impl_->sentence(); }

}  // namespace m2b
