#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <stop_token>
#include <string>
#include <string_view>

#include "m2b/util/fd.hpp"

namespace m2b {

/// Lines for a descriptor whose reader may be slow, or stop reading. Nobody waits for it: a line is
/// written at once where that is possible, else it is kept, and lost where too much is kept
/// already. Lines stay whole and in order. All members may be called from any thread and do not
/// throw, but for lack of memory.
class LogOutput {
 public:
  static constexpr std::size_t kMaxKeptBytes = std::size_t{1} << 20;

  /// The descriptor stays the caller's; it is looked at when the first line is written.
  explicit LogOutput(int fd, std::size_t max_kept_bytes = kMaxKeptBytes)
      : fd_(fd), max_kept_bytes_(max_kept_bytes) {}
  LogOutput(const LogOutput&) = delete;
  LogOutput& operator=(const LogOutput&) = delete;

  /// Takes a line with its end.
  void write(std::string_view line);

  /// Writes what is kept as soon as the reader has room for it, until `stop`; then calls `on_clear`
  /// if lines were lost. For a thread.
  void drain(const std::stop_token& stop, const std::function<void()>& on_clear);

  /// Writes what is kept, and waits so long for a reader that is slow.
  void flush(std::chrono::milliseconds patience);

  /// Lines that were lost.
  [[nodiscard]] std::uint64_t dropped() const;
  /// Those that were lost since the last time and may be told now, since nothing is kept any more.
  [[nodiscard]] std::uint64_t take_untold();

 private:
  void look_at_descriptor();
  void write_kept();
  [[nodiscard]] bool wait_until_writable(std::chrono::milliseconds patience) const;
  [[nodiscard]] std::ptrdiff_t try_write(std::string_view bytes) const;
  void lose(std::uint64_t lines) noexcept;

  const int fd_;
  const std::size_t max_kept_bytes_;

  mutable std::mutex mutex_;  // guards the fields below; nothing waits under it
  std::condition_variable_any kept_some_;
  bool is_known_ = false;
  bool is_socket_ = false;
  bool may_block_ = false;  // the descriptor is shared, so its mode is not ours to change
  Fd own_;                  // the same pipe or terminal, opened once more so as never to block
  std::deque<std::string> kept_;  // the first may have been written in part
  std::size_t kept_bytes_ = 0;
  std::uint64_t dropped_ = 0;
  std::uint64_t untold_ = 0;
};

}  // namespace m2b
