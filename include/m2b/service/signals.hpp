#pragma once

#include <csignal>
#include <cstdint>
#include <string>

#include "m2b/util/fd.hpp"

namespace m2b {

/// What a signal asks of the daemon.
enum class SignalMeaning : std::uint8_t {
  stop,        ///< SIGTERM, SIGINT, SIGQUIT
  read_files,  ///< SIGHUP
  none         ///< any other that would end the process by default
};

[[nodiscard]] SignalMeaning meaning_of(int signal) noexcept;

/// `SIGHUP`, or the number of a signal that has no name.
[[nodiscard]] std::string name_of_signal(int signal);

/// Signals as values, so that none ends the process without a word. Construct it before the first
/// thread: it blocks, in the calling thread and in those that it starts, every signal that ends a
/// process by default and comes from outside. Not blocked are those that a fault of our own raises
/// (SIGSEGV, SIGABRT …), those of job control, and SIGKILL. A write to a closed pipe, or beyond the
/// limit of file sizes, becomes an error of that write (SIGPIPE and SIGXFSZ are ignored). Nothing
/// is undone by the destructor: what comes during the stop has no effect.
class Signals {
 public:
  Signals() noexcept;

  /// Blocks until a signal comes, and returns its number.
  [[nodiscard]] int wait() const noexcept;

  /// Readable once a signal that means `stop` has come. Throws std::system_error.
  [[nodiscard]] Fd stop_descriptor() const;

 private:
  sigset_t set_{};
};

}  // namespace m2b
