#pragma once

#include <chrono>
#include <cstdint>
#include <ostream>
#include <string>
#include <utility>

#include "m2b/tools/tools.hpp"

namespace m2b {

/// A line on a terminal that says how far long work has come, twice a second; gone in the end.
class Progress {
 public:
  Progress(const ToolOutput& output, std::string what, std::uint64_t total)
      : output_(output), what_(std::move(what)), total_(total) {}
  ~Progress() {
    if (shown_) {
      output_.err << "\r\x1b[K" << std::flush;
    }
  }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void step() {
    ++done_;
    const auto now = Clock::now();
    if (output_.shows_progress && now >= due_) {
      due_ = now + std::chrono::milliseconds(500);
      output_.err << "\r\x1b[K" << what_ << ' ' << done_;
      if (total_ >= done_) {
        output_.err << " of " << total_;
      }
      output_.err << std::flush;
      shown_ = true;
    }
  }

 private:
  using Clock = std::chrono::steady_clock;

  const ToolOutput& output_;
  const std::string what_;
  const std::uint64_t total_;  // 0: not known
  std::uint64_t done_ = 0;
  Clock::time_point due_ = Clock::now() + std::chrono::milliseconds(500);
  bool shown_ = false;
};

}  // namespace m2b
