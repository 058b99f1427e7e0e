#include "bench/process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <sstream>
#include <stdexcept>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "bench/clock.hpp"
#include "bench/stop.hpp"
#include "m2b/util/thread.hpp"

namespace m2b::bench {
namespace {

constexpr std::chrono::seconds kStartTimeout{30};
constexpr std::chrono::milliseconds kStartPoll{20};
constexpr int kStopMilliseconds = 15'000;
constexpr std::size_t kTailBytes = 2000;

std::vector<char*> c_strings(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  pointers.reserve(texts.size() + 1);
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

/// Between fork and exec: nothing but async-signal-safe calls.
[[noreturn]] void become(char* const* arguments, char* const* environment, int log,
                         pid_t parent) noexcept {
  ::setpgid(0, 0);  // Ctrl-C is for the bench alone, which then ends us in order
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(127);
  sigset_t none;
  sigemptyset(&none);
  ::pthread_sigmask(SIG_SETMASK, &none, nullptr);
  ::signal(SIGPIPE, SIG_DFL);
  ::dup2(log, STDOUT_FILENO);
  ::dup2(log, STDERR_FILENO);
  ::execve(arguments[0], arguments, environment);
  ::_exit(127);
}

}  // namespace

Process::Process(Command command) : command_(std::move(command)) {
  const Fd log(::open(command_.log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  if (!log) throw std::system_error(errno, std::generic_category(), command_.log.string());
  const std::vector<char*> arguments = c_strings(command_.arguments);
  const std::vector<char*> environment = c_strings(command_.environment);
  const pid_t parent = ::getpid();
  pid_ = ::fork();
  if (pid_ == 0) become(arguments.data(), environment.data(), log.get(), parent);
  if (pid_ < 0) throw std::system_error(errno, std::generic_category(), "fork");
  handle_ = Fd(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
}

Process::~Process() {
  ::kill(pid_, SIGTERM);
  if (!ended_within(kStopMilliseconds)) ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

bool Process::ended_within(int milliseconds) const noexcept {
  pollfd watched{handle_.get(), POLLIN, 0};
  return ::poll(&watched, 1, milliseconds) > 0;
}

void Process::expect_running() const {
  if (ended_within(0)) {
    throw std::runtime_error(
        fmt::format("{} ended by itself; its last words:\n{}", command_.name, log_tail()));
  }
}

void Process::wait_until(const std::function<bool()>& is_up, const std::stop_token& stop) const {
  const auto deadline = Clock::now() + kStartTimeout;
  while (!is_up()) {
    expect_running();
    if (Clock::now() > deadline) {
      throw std::runtime_error(fmt::format("{} is not ready after {} s; its last words:\n{}",
                                           command_.name, kStartTimeout.count(), log_tail()));
    }
    if (!sleep_for(kStartPoll, stop)) throw Interrupted();
  }
}

std::string Process::log_tail() const {
  std::ifstream file(command_.log);
  std::string text{std::istreambuf_iterator<char>(file), {}};
  return text.size() > kTailBytes ? text.substr(text.size() - kTailBytes) : text;
}

std::string find_program(const std::string& name, const std::string& remedy) {
  std::vector<std::string> candidates;
  if (name.find('/') != std::string::npos) {
    candidates.push_back(std::filesystem::absolute(name).string());
  } else {
    const char* const path = std::getenv("PATH");  // NOLINT(concurrency-mt-unsafe): never set
    std::istringstream folders(std::string(path != nullptr ? path : "") + ":/usr/sbin");
    for (std::string folder; std::getline(folders, folder, ':');) {
      candidates.push_back(fmt::format("{}/{}", folder, name));
    }
  }
  for (const std::string& candidate : candidates) {
    if (::access(candidate.c_str(), X_OK) == 0 && !std::filesystem::is_directory(candidate)) {
      return candidate;
    }
  }
  throw std::runtime_error(fmt::format("there is no program '{}' to run; {}", name, remedy));
}

std::string beside_us(const std::string& name) {
  return (std::filesystem::read_symlink("/proc/self/exe").parent_path() / name).string();
}

}  // namespace m2b::bench
