#include "m2b/service/signals.hpp"

#include <string.h>
#include <sys/signalfd.h>

#include <cerrno>
#include <csignal>
#include <system_error>

namespace m2b {
namespace {

/// Signals that are left to what they do by default: of our own faults, and of job control.
constexpr int kLeftAlone[] = {SIGABRT, SIGBUS,  SIGFPE,  SIGILL,  SIGSEGV, SIGSYS, SIGTRAP,
                              SIGCHLD, SIGCONT, SIGTSTP, SIGTTIN, SIGTTOU, SIGURG, SIGWINCH};

}  // namespace

SignalMeaning meaning_of(int signal) noexcept {
  switch (signal) {
    case SIGTERM:
    case SIGINT:
    case SIGQUIT:
      return SignalMeaning::stop;
    case SIGHUP:
      return SignalMeaning::read_files;
    default:
      return SignalMeaning::none;
  }
}

std::string name_of_signal(int signal) {
  const char* const name = ::sigabbrev_np(signal);
  return name != nullptr ? std::string("SIG") + name : std::to_string(signal);
}

Signals::Signals() noexcept {
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
  sigfillset(&set_);
  for (const int signal : kLeftAlone) {
    sigdelset(&set_, signal);
  }
  // Ignored means ignored; a blocked signal would wait to be taken.
  sigdelset(&set_, SIGPIPE);
  sigdelset(&set_, SIGXFSZ);
  pthread_sigmask(SIG_BLOCK, &set_, nullptr);
}

int Signals::wait() const noexcept {
  int signal = 0;
  sigwait(&set_, &signal);
  return signal;
}

Fd Signals::stop_descriptor() const {
  sigset_t stops{};
  sigemptyset(&stops);
  for (const int signal : {SIGTERM, SIGINT, SIGQUIT}) {
    sigaddset(&stops, signal);
  }
  const int descriptor = ::signalfd(-1, &stops, SFD_CLOEXEC);
  if (descriptor < 0) {
    throw std::system_error(errno, std::generic_category(), "signalfd");
  }
  return Fd(descriptor);
}

}  // namespace m2b
