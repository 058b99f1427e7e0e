#include "bench/stop.hpp"

#include <pthread.h>

#include "m2b/util/thread.hpp"

namespace m2b::bench {
namespace {

/// What wakes our own thread at the end.
constexpr int kEnd = SIGUSR1;

}  // namespace

StopSignals::StopSignals() {
  sigemptyset(&set_);
  for (const int signal : {SIGINT, SIGTERM, kEnd}) sigaddset(&set_, signal);
  pthread_sigmask(SIG_BLOCK, &set_, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  thread_ = start_thread("signals", [this](const std::stop_token&) {
    int signal = 0;
    while (sigwait(&set_, &signal) == 0 && signal != kEnd) source_.request_stop();
  });
}

StopSignals::~StopSignals() { pthread_kill(thread_.native_handle(), kEnd); }

}  // namespace m2b::bench
