#include "m2b/check/connection_check.hpp"

#include <poll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <stop_token>
#include <thread>
#include <utility>

#include "check/broker_check.hpp"
#include "check/lane.hpp"
#include "check/spool_check.hpp"
#include "check/store_check.hpp"
#include "m2b/util/fd.hpp"

namespace m2b {
namespace {

using check::Lane;

constexpr std::chrono::seconds kAllSteps{30};
/// For a lane that is over to remove what it has written, and to disconnect.
constexpr std::chrono::seconds kReturnPatience{5};

}  // namespace

class ConnectionCheck::Impl {
 public:
  explicit Impl(ConnectionCheckOptions options) : options_(std::move(options)) {}
  ~Impl() { stop_.request_stop(); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  [[nodiscard]] Result run(const Report& report, int interrupt_fd) {
    start();
    Result result;
    const Lane::Clock::time_point all_by = Lane::Clock::now() + kAllSteps;
    std::size_t told = 0;
    while (true) {
      for (Lane* const lane : lanes_) {
        lane->expire(Lane::Clock::now(), all_by);
      }
      tell(told, result, report);
      if (told == lanes_.size()) {
        break;
      }
      if (await(next_deadline(all_by), interrupt_fd)) {
        result.was_interrupted = true;
        interrupt_fd = -1;
        stop_.request_stop();
        for (Lane* const lane : lanes_) {
          lane->interrupt();
        }
      }
    }
    stop_.request_stop();
    result.has_ended = await_threads();
    return result;
  }

 private:
  void start() {
    threads_[0] = std::jthread([this] {
      check::check_spool(spool_, options_.spool);
      spool_.finish();
    });
    threads_[1] = std::jthread([this] {
      check::check_broker(broker_, options_.mqtt, options_.names, token_);
      broker_.finish();
    });
    threads_[2] = std::jthread([this] {
      check::check_store(store_, options_.store, options_.names, options_.writes, token_);
      store_.finish();
    });
  }

  /// In the order of the lanes, however fast each is.
  void tell(std::size_t& told, Result& result, const Report& report) {
    while (told < lanes_.size()) {
      const bool is_over = lanes_[told]->is_over();
      for (CheckStep& step : lanes_[told]->take()) {
        report(step);
        result.steps.push_back(std::move(step));
      }
      if (!is_over) {
        return;
      }
      ++told;
    }
  }

  [[nodiscard]] Lane::Clock::time_point next_deadline(Lane::Clock::time_point all_by) const {
    Lane::Clock::time_point next = all_by;
    for (const Lane* const lane : lanes_) {
      next = std::min(next, lane->deadline().value_or(next));
    }
    return next;
  }

  /// Until a lane changes or the time comes; true when the interrupt does.
  bool await(Lane::Clock::time_point until, int interrupt_fd) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Lane::Clock::now());
    std::array<pollfd, 2> polled{pollfd{change_.get(), POLLIN, 0}, pollfd{interrupt_fd, POLLIN, 0}};
    ::poll(polled.data(), polled.size(), static_cast<int>(std::max<std::int64_t>(left.count(), 0)));
    eventfd_t count = 0;
    ::eventfd_read(change_.get(), &count);
    return polled[1].revents != 0;
  }

  [[nodiscard]] bool await_threads() {
    const auto until = Lane::Clock::now() + kReturnPatience;
    const auto have_returned = [this] {
      return std::ranges::all_of(lanes_, [](const Lane* lane) { return lane->has_returned(); });
    };
    while (!have_returned() && Lane::Clock::now() < until) {
      await(until, -1);
    }
    return have_returned();
  }

  [[nodiscard]] std::function<void()> changes() {
    return [this] { ::eventfd_write(change_.get(), 1); };
  }

  const ConnectionCheckOptions options_;
  std::stop_source stop_;
  const std::stop_token token_ = stop_.get_token();
  const Fd change_{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  Lane spool_{check::spool_steps(), changes()};
  Lane broker_{check::broker_steps(options_.mqtt), changes()};
  Lane store_{check::store_steps(options_.store), changes()};
  const std::array<Lane*, 3> lanes_{&spool_, &broker_, &store_};
  std::array<std::jthread, 3> threads_;  // last: they use the fields above
};

ConnectionCheck::ConnectionCheck(ConnectionCheckOptions options)
    : impl_(std::make_unique<Impl>(std::move(options))) {}

ConnectionCheck::~ConnectionCheck() = default;

ConnectionCheck::Result ConnectionCheck::run(const Report& report, int interrupt_fd) {
  return impl_->run(report, interrupt_fd);
}

}  // namespace m2b
