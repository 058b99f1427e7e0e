#pragma once

#include <csignal>
#include <exception>
#include <stop_token>
#include <thread>

namespace m2b::bench {

/// A person or the system asked us to stop.
class Interrupted : public std::exception {
 public:
  [[nodiscard]] const char* what() const noexcept override { return "interrupted"; }
};

inline void throw_if_stopped(const std::stop_token& stop) {
  if (stop.stop_requested()) throw Interrupted();
}

/// SIGINT and SIGTERM as a stop token, so that every destructor runs. One object in main, before
/// the first thread.
class StopSignals {
 public:
  StopSignals();
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  [[nodiscard]] std::stop_token token() const noexcept { return source_.get_token(); }

 private:
  sigset_t set_{};
  std::stop_source source_;
  std::jthread thread_;
};

}  // namespace m2b::bench
