#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <stop_token>
#include <string>

#include "bench/bridge.hpp"
#include "bench/progress.hpp"
#include "bench/publishers.hpp"

namespace m2b::bench {

/// What is waited for, and how often it is asked. An answer costs the bridge about a quarter of a
/// millisecond, which would be felt beside few messages.
struct Watch {
  std::string what;                     // for people: "stored"
  std::size_t Bridge::Account::*count;  // where the account has it
  std::size_t messages = 0;
  std::chrono::milliseconds poll{20};           // when the end is near
  std::chrono::milliseconds longest_poll{200};  // before
};

/// Asks the bridge again and again, with a line of progress.
class Watcher {
 public:
  Watcher(Bridge& bridge, Watch watch, const std::stop_token& stop);

  /// Waits for the next poll and asks. Throws when a message is lost, when stopped, and when
  /// nothing more was counted for long, unless there is a reason for it.
  void look(bool may_be_quiet = false);
  [[nodiscard]] std::size_t count() const noexcept { return count_; }
  /// Of the bridge, so far.
  [[nodiscard]] std::uint64_t peak_private_bytes() const noexcept { return peak_private_bytes_; }

 private:
  [[nodiscard]] std::chrono::steady_clock::duration pause() const;

  Bridge& bridge_;
  const Watch watch_;
  const std::stop_token stop_;
  const Progress progress_;
  std::size_t count_ = 0;
  std::uint64_t peak_private_bytes_ = 0;
  const std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
  std::chrono::steady_clock::time_point last_news_ = begin_;
};

struct Watched {
  std::size_t count = 0;
  double publish_seconds = 0;            // first publish to last acknowledgement
  double seconds = 0;                    // first publish to the last one counted
  std::uint64_t peak_private_bytes = 0;  // of the bridge
};

/// Waits until all is published and counted; throws what Watcher throws.
[[nodiscard]] Watched wait_for_all(Publishers& publishers, Bridge& bridge, const Watch& watch,
                                   const std::stop_token& stop);

}  // namespace m2b::bench
