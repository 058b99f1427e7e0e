#include "util/log_output.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <utility>

namespace m2b {
namespace {

/// How long a writer that is to stop may still wait for a reader.
constexpr std::chrono::milliseconds kPollTime{100};

bool is_to_be_tried_again(int error) { return error == EAGAIN || error == EWOULDBLOCK; }

}  // namespace

void LogOutput::write(std::string_view line) {
  const std::lock_guard lock(mutex_);
  write_kept();
  if (kept_.empty()) {
    const std::ptrdiff_t written = try_write(line);
    if (written < 0 && !is_to_be_tried_again(errno)) {
      return lose(1);
    }
    line.remove_prefix(static_cast<std::size_t>(std::max<std::ptrdiff_t>(written, 0)));
  }
  if (line.empty()) {
    return;
  }
  if (!kept_.empty() && kept_bytes_ + line.size() > max_kept_bytes_) {
    return lose(1);
  }
  kept_.emplace_back(line);
  kept_bytes_ += line.size();
  kept_some_.notify_all();
}

void LogOutput::drain(const std::stop_token& stop, const std::function<void()>& on_clear) {
  while (!stop.stop_requested()) {
    {
      std::unique_lock lock(mutex_);
      if (!kept_some_.wait(lock, stop, [this] { return !kept_.empty(); })) {
        return;
      }
    }
    static_cast<void>(wait_until_writable(kPollTime));
    bool is_clear = false;
    {
      const std::lock_guard lock(mutex_);
      write_kept();
      is_clear = kept_.empty() && untold_ > 0;
    }
    if (is_clear) {
      on_clear();
    }
  }
}

void LogOutput::flush(std::chrono::milliseconds patience) {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point deadline = Clock::now() + patience;
  while (true) {
    {
      const std::lock_guard lock(mutex_);
      write_kept();
      if (kept_.empty()) {
        return;
      }
    }
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
    if (left.count() <= 0 || !wait_until_writable(left)) {
      return;
    }
  }
}

std::uint64_t LogOutput::dropped() const {
  const std::lock_guard lock(mutex_);
  return dropped_;
}

std::uint64_t LogOutput::take_untold() {
  const std::lock_guard lock(mutex_);
  write_kept();
  return kept_.empty() ? std::exchange(untold_, 0) : 0;
}

/// Whether a write to it can be kept from blocking. O_NONBLOCK would be the mode of all who share
/// the descriptor, the user's shell among them; an opening of our own has a mode of its own.
void LogOutput::look_at_descriptor() {
  is_known_ = true;
  struct stat status {};
  if (::fstat(fd_, &status) != 0) {
    return;
  }
  is_socket_ = S_ISSOCK(status.st_mode);
  if (S_ISFIFO(status.st_mode) || S_ISCHR(status.st_mode)) {
    const std::string path = "/proc/self/fd/" + std::to_string(fd_);
    own_ = Fd(::open(path.c_str(), O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
    may_block_ = !own_;  // another user's pipe, or one that nobody reads any more
  }
}

void LogOutput::write_kept() {
  if (!is_known_) {
    look_at_descriptor();
  }
  while (!kept_.empty()) {
    std::string& line = kept_.front();
    const std::ptrdiff_t written = try_write(line);
    if (written < 0 && is_to_be_tried_again(errno)) {
      return;
    }
    if (written < 0) {
      lose(kept_.size());
      kept_.clear();
      kept_bytes_ = 0;
      return;
    }
    kept_bytes_ -= static_cast<std::size_t>(written);
    line.erase(0, static_cast<std::size_t>(written));
    if (line.empty()) {
      kept_.pop_front();
    }
  }
}

bool LogOutput::wait_until_writable(std::chrono::milliseconds patience) const {
  pollfd waiting{own_ ? own_.get() : fd_, POLLOUT, 0};
  return ::poll(&waiting, 1, static_cast<int>(patience.count())) > 0;
}

/// As write(2), but EAGAIN instead of waiting.
std::ptrdiff_t LogOutput::try_write(std::string_view bytes) const {
  std::ptrdiff_t written = -1;
  do {
    if (is_socket_) {
      written = ::send(fd_, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    } else if (own_) {
      written = ::write(own_.get(), bytes.data(), bytes.size());
    } else if (may_block_ && !wait_until_writable(std::chrono::milliseconds(0))) {
      errno = EAGAIN;
      return -1;
    } else {
      // A pipe that can be written to has room for so much (pipe(7), PIPE_BUF).
      const std::size_t most = may_block_ ? std::size_t{PIPE_BUF} : bytes.size();
      written = ::write(fd_, bytes.data(), std::min(bytes.size(), most));
    }
  } while (written < 0 && errno == EINTR);
  return written;
}

void LogOutput::lose(std::uint64_t lines) noexcept {
  dropped_ += lines;
  untold_ += lines;
}

}  // namespace m2b
