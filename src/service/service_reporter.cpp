#include "m2b/service/service_reporter.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <stop_token>
#include <system_error>
#include <thread>
#include <utility>

#include "m2b/util/log.hpp"
#include "m2b/util/repetition.hpp"
#include "m2b/util/thread.hpp"
#include "service/notify_socket.hpp"

namespace m2b {
namespace {

constexpr const char* kArea = "service";
constexpr int kSignsInWatchdog = 4;
/// How old the status line may be: people look at it, however patient the watchdog is.
constexpr std::chrono::seconds kStatusInterval{10};

std::optional<std::int64_t> parse_number(const std::optional<std::string>& text) {
  std::int64_t number = 0;
  if (!text) {
    return std::nullopt;
  }
  const char* const end = text->data() + text->size();
  const auto [rest, error] = std::from_chars(text->data(), end, number);
  return error == std::errc() && rest == end ? std::optional(number) : std::nullopt;
}

/// A line break in it would end the assignment.
std::string as_one_line(std::string text) {
  std::ranges::replace(text, '\n', ' ');
  return text;
}

}  // namespace

ServiceOptions read_service_options(
    const std::function<std::optional<std::string>(const std::string& name)>& environment) {
  ServiceOptions options;
  options.socket = environment("NOTIFY_SOCKET").value_or("");
  const auto pid = parse_number(environment("WATCHDOG_PID"));
  const bool is_for_us = !pid || *pid == ::getpid();
  const auto usec = parse_number(environment("WATCHDOG_USEC"));
  if (is_for_us && usec && *usec > 0) {
    options.watchdog = std::chrono::microseconds(*usec);
  }
  return options;
}

class ServiceReporter::Impl {
 public:
  Impl(ServiceOptions options, ServiceSources sources)
      : options_(std::move(options)), sources_(std::move(sources)), socket_(options_.socket) {}

  void ready() {
    if (options_.socket.empty()) {
      return;
    }
    tell(fmt::format("READY=1\nSTATUS={}", as_one_line(sources_.status())));
    thread_ = start_thread("service", [this](const std::stop_token& stop) { run(stop); });
  }

  void stopping() {
    if (!options_.socket.empty()) {
      is_stopping_ = true;
      tell("STOPPING=1\nSTATUS=stopping");
    }
  }

 private:
  [[nodiscard]] Pulse::Clock::duration interval() const {
    if (options_.watchdog.count() == 0) {
      return kStatusInterval;
    }
    return std::min<Pulse::Clock::duration>(kStatusInterval, options_.watchdog / kSignsInWatchdog);
  }

  void run(const std::stop_token& stop) {
    do {
      sources_.poke();
      report();
    } while (sleep_for(interval(), stop));
  }

  void report() {
    const NamedPulse* const silent = find_silent();
    if (silent != nullptr) {
      const double seconds = std::chrono::duration<double>(silent->pulse->silent_for()).count();
      if (const auto held_back = lines_.admit(silent->name)) {
        log::error(kArea, "a thread has not answered; the watchdog gets no sign until it does",
                   {{"thread", silent->name}, {"seconds", seconds}, {"repeated", *held_back}});
      }
      tell(fmt::format("STATUS=thread {} has not answered for {:.0f} s", silent->name, seconds));
      return;
    }
    const std::string status =
        is_stopping_ ? "" : fmt::format("STATUS={}\n", as_one_line(sources_.status()));
    tell(status + (options_.watchdog.count() > 0 ? "WATCHDOG=1" : ""));
  }

  [[nodiscard]] const NamedPulse* find_silent() const {
    if (options_.watchdog.count() == 0) {
      return nullptr;
    }
    const auto silent = std::ranges::find_if(sources_.pulses, [this](const NamedPulse& thread) {
      return thread.pulse->silent_for() > options_.watchdog / 2;
    });
    return silent == sources_.pulses.end() ? nullptr : &*silent;
  }

  void tell(const std::string& assignments) {
    if (assignments.empty() || socket_.tell(assignments)) {
      return;
    }
    const int error = errno;
    if (const auto held_back = lines_.admit("socket")) {
      log::warn(kArea, "the service manager cannot be told how we are",
                {{"socket", options_.socket},
                 {"cause", std::generic_category().message(error)},
                 {"repeated", *held_back}});
    }
  }

  const ServiceOptions options_;
  const ServiceSources sources_;
  const NotifySocket socket_;
  std::atomic<bool> is_stopping_ = false;
  Repetition lines_;
  std::jthread thread_;
};

ServiceReporter::ServiceReporter(ServiceOptions options, ServiceSources sources)
    : impl_(std::make_unique<Impl>(std::move(options), std::move(sources))) {}

ServiceReporter::~ServiceReporter() = default;

void ServiceReporter::ready() { impl_->ready(); }

void ServiceReporter::stopping() { impl_->stopping(); }

}  // namespace m2b
