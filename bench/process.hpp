#pragma once

#include <sys/types.h>

#include <filesystem>
#include <functional>
#include <stop_token>
#include <string>
#include <vector>

#include "m2b/util/fd.hpp"

namespace m2b::bench {

struct Command {
  std::string name;                      // for messages
  std::vector<std::string> arguments;    // the first is the program's path
  std::vector<std::string> environment;  // NAME=VALUE, and nothing else
  std::filesystem::path log;             // gets stdout and stderr
};

/// A process of ours, in a process group of its own. Ended (SIGTERM, after a while SIGKILL) with
/// the object, and by the kernel should the bench be killed. Made by the main thread alone.
class Process {
 public:
  explicit Process(Command command);
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  [[nodiscard]] pid_t pid() const noexcept { return pid_; }
  /// Throws with the end of its log if it has ended.
  void expect_running() const;
  /// Polls until it is up; throws if it ends first or takes too long.
  void wait_until(const std::function<bool()>& is_up, const std::stop_token& stop) const;

 private:
  [[nodiscard]] std::string log_tail() const;
  [[nodiscard]] bool ended_within(int milliseconds) const noexcept;

  Command command_;
  pid_t pid_ = -1;
  Fd handle_;  // pidfd
};

/// The path of a program by the name or path given; throws if there is none that can be run,
/// with `remedy` as advice.
[[nodiscard]] std::string find_program(const std::string& name, const std::string& remedy);
/// The path of a file that was built together with the bench.
[[nodiscard]] std::string beside_us(const std::string& name);

}  // namespace m2b::bench
