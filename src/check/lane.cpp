#include "check/lane.hpp"

#include <algorithm>
#include <exception>
#include <utility>

#include <fmt/format.h>

namespace m2b::check {

Lane::Lane(std::vector<std::string_view> planned, std::function<void()> on_change)
    : planned_(std::move(planned)), on_change_(std::move(on_change)) {}

bool Lane::run(std::string_view name, std::chrono::milliseconds limit,
               const std::function<Finding()>& step) {
  {
    const std::lock_guard lock(mutex_);
    if (is_over_) {
      return false;
    }
    running_ = name;
    began_ = Clock::now();
    deadline_ = began_ + limit;
  }
  on_change_();  // there is a deadline
  Finding finding;
  try {
    finding = step();
  } catch (const std::exception& error) {
    finding = failed(error.what(), "See the message; this is not expected.");
  }
  const bool goes_on = finding.outcome != StepOutcome::failed;
  {
    const std::lock_guard lock(mutex_);
    if (is_over_) {
      return false;
    }
    running_.clear();
    push(name, std::move(finding));
  }
  on_change_();
  return goes_on;
}

void Lane::add(std::string_view name, Finding finding) {
  {
    const std::lock_guard lock(mutex_);
    if (is_over_) {
      return;
    }
    push(name, std::move(finding));
  }
  on_change_();
}

void Lane::finish() {
  {
    const std::lock_guard lock(mutex_);
    has_returned_ = true;
    close();
  }
  on_change_();
}

std::vector<CheckStep> Lane::take() {
  const std::lock_guard lock(mutex_);
  std::vector<CheckStep> fresh(steps_.begin() + static_cast<std::ptrdiff_t>(taken_), steps_.end());
  taken_ = steps_.size();
  return fresh;
}

bool Lane::is_over() const {
  const std::lock_guard lock(mutex_);
  return is_over_;
}

bool Lane::has_returned() const {
  const std::lock_guard lock(mutex_);
  return has_returned_;
}

std::optional<Lane::Clock::time_point> Lane::deadline() const {
  const std::lock_guard lock(mutex_);
  return is_over_ || running_.empty() ? std::nullopt : std::optional(deadline_);
}

void Lane::expire(Clock::time_point now, Clock::time_point all_by) {
  const std::lock_guard lock(mutex_);
  if (is_over_ || (now < all_by && (running_.empty() || now < deadline_))) {
    return;
  }
  if (!running_.empty()) {
    const auto waited = std::chrono::round<std::chrono::seconds>(now - began_);
    push(running_, failed(fmt::format("no result within {} s", waited.count()),
                          running_.ends_with(".name")
                              ? "The name server does not answer: check it (/etc/resolv.conf) and "
                                "the network, or set an IP address."
                              : "See whether the network passes the packets (firewall, VPN, MTU) "
                                "and whether the other side is overloaded; then try again."));
  }
  close();
}

void Lane::interrupt() {
  const std::lock_guard lock(mutex_);
  if (is_over_) {
    return;
  }
  if (!running_.empty()) {
    push(running_, skipped("interrupted"));
  }
  close();
}

void Lane::push(std::string_view name, Finding finding) {
  steps_.push_back(
      {std::string(name), finding.outcome, std::move(finding.seen), std::move(finding.remedy)});
}

void Lane::close() {
  if (is_over_) {
    return;
  }
  is_over_ = true;
  for (const std::string_view name : planned_) {
    if (std::ranges::find(steps_, name, &CheckStep::name) == steps_.end()) {
      push(name, skipped("not reached"));
    }
  }
}

}  // namespace m2b::check
