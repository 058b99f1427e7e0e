#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string>

namespace m2b::bench {

/// Processor time, in seconds.
struct CpuTime {
  double user = 0;
  double system = 0;

  [[nodiscard]] double total() const noexcept { return user + system; }
  CpuTime& operator+=(const CpuTime& other) noexcept;
  friend CpuTime operator-(const CpuTime& a, const CpuTime& b) noexcept {
    return {a.user - b.user, a.system - b.system};
  }
  friend CpuTime operator*(const CpuTime& a, double factor) noexcept {
    return {a.user * factor, a.system * factor};
  }
};

[[nodiscard]] inline CpuTime per_thousand(const CpuTime& time, std::size_t messages) noexcept {
  return time * (1000.0 / static_cast<double>(messages));
}

/// What the file `stat` of a process or thread says; `task` is its folder, such as /proc/1.
[[nodiscard]] CpuTime cpu_time(const std::string& task);
[[nodiscard]] CpuTime cpu_time(pid_t pid);

/// Memory of its own, without mapped files (RssAnon), in bytes. These three: 0 when the process is
/// gone.
[[nodiscard]] std::uint64_t private_bytes(pid_t pid);
[[nodiscard]] std::uint64_t threads(pid_t pid);
/// Files, sockets and whatever else it has open.
[[nodiscard]] std::uint64_t open_handles(pid_t pid);

}  // namespace m2b::bench
