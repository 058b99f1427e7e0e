#include <fmt/format.h>
#include <malloc.h>
#include <sys/signalfd.h>
#include <sysexits.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include "m2b/check/connection_check.hpp"
#include "m2b/cli/command_line.hpp"
#include "m2b/cli/tool_line.hpp"
#include "m2b/config/config.hpp"
#include "m2b/control/control_server.hpp"
#include "m2b/mqtt/receiver.hpp"
#include "m2b/pipeline/pipeline.hpp"
#include "m2b/service/service_reporter.hpp"
#include "m2b/spool/spool.hpp"
#include "m2b/status/last_pictures.hpp"
#include "m2b/status/status_server.hpp"
#include "m2b/tls/tls_material.hpp"
#include "m2b/tools/tools.hpp"
#include "m2b/upload/s3_store.hpp"
#include "m2b/upload/store_context.hpp"
#include "m2b/util/fail_point.hpp"
#include "m2b/util/fd.hpp"
#include "m2b/util/log.hpp"
#include "m2b/util/process.hpp"
#include "m2b/util/thread.hpp"

namespace m2b {
namespace {

constexpr const char* kArea = "main";
/// For the last lines of a process that ends, where the reader of its log is slow.
constexpr std::chrono::milliseconds kLogPatience{1000};

std::optional<std::string> read_environment(const std::string& name) {
  const char* const value =
      std::getenv(name.c_str());  // NOLINT(concurrency-mt-unsafe): no threads yet
  return value != nullptr ? std::optional<std::string>(value) : std::nullopt;
}

/// SIGTERM and SIGINT as a value. Blocked before the first thread, so that only main sees them.
class StopSignals {
 public:
  StopSignals() {
    sigemptyset(&set_);
    sigaddset(&set_, SIGTERM);
    sigaddset(&set_, SIGINT);
    pthread_sigmask(SIG_BLOCK, &set_, nullptr);
    std::signal(SIGPIPE, SIG_IGN);
  }

  [[nodiscard]] const char* wait() const {
    int signal = 0;
    sigwait(&set_, &signal);
    return signal == SIGINT ? "SIGINT" : "SIGTERM";
  }

  /// A descriptor that is readable once one has come.
  [[nodiscard]] Fd descriptor() const { return Fd(::signalfd(-1, &set_, SFD_CLOEXEC)); }

 private:
  sigset_t set_{};
};

/// The rest of a time span, for steps that share it.
class Deadline {
 public:
  explicit Deadline(std::chrono::milliseconds span) : at_(Clock::now() + span) {}

  [[nodiscard]] std::chrono::milliseconds left() const {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(at_ - Clock::now());
    return std::max(left, std::chrono::milliseconds(0));
  }

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point at_;
};

/// By default glibc keeps up to eight heaps a processor, and each keeps the largest pictures that
/// its threads ever held: under faults that grew to twice the memory, and was no faster.
void keep_few_heaps() {
  ::mallopt(M_ARENA_MAX, 2);  // NOLINT(concurrency-mt-unsafe): there are no threads yet
}

/// An exception that leaves a thread is a broken invariant and ends the process. The library's own
/// way to say so would wait for whoever reads stderr.
[[noreturn]] void tell_and_abort() noexcept {
  std::string cause = "terminate";
  try {
    if (const std::exception_ptr error = std::current_exception()) {
      std::rethrow_exception(error);
    }
  } catch (const std::exception& error) {
    cause = error.what();
  } catch (...) {
    cause = "unknown";
  }
  log::write(log::Level::critical, kArea, "unexpected error, the process ends", {{"cause", cause}});
  log::flush(kLogPatience);
  std::abort();
}

/// One line, as `systemctl status` shows it.
std::string status_line(const Spool& spool, const Receiver& receiver, const Pipeline& pipeline) {
  const Intake intake = spool.intake();
  std::size_t refused = 0;
  for (const Refusal& refusal : pipeline.refusals()) {
    refused += refusal.messages;
  }
  return fmt::format(
      "{}; store {}; {} messages wait{}{}",
      !receiver.stats().connected    ? "no connection to the broker"
      : !receiver.stats().subscribed ? "not subscribed"
      : !receiver.hears_broker()     ? "nothing heard from the broker"
                                     : "subscribed",
      to_string(pipeline.store_state()), spool.totals().waiting(),
      refused == 0 ? "" : fmt::format(", of which {} are refused", refused),
      intake == Intake::open ? "" : fmt::format("; none is taken: {}", to_string(intake)));
}

ServiceSources service_sources(Spool& spool, Receiver& receiver, Pipeline& pipeline) {
  std::vector<NamedPulse> pulses = pipeline.pulses();
  pulses.push_back({"spool-writer", &spool.pulse()});
  pulses.push_back({"mqtt-session", &receiver.pulse()});
  return {.status = [&] { return status_line(spool, receiver, pipeline); },
          .poke =
              [&] {
                spool.poke();
                pipeline.poke();
                receiver.poke();
              },
          .pulses = std::move(pulses)};
}

StatusNames names_of(const Config& config) {
  const auto address = [](const std::string& host, std::uint16_t port) {
    return host + ":" + std::to_string(port);
  };
  return {.broker = address(config.mqtt.host, config.mqtt.port),
          .topics = config.mqtt.filters,
          .store = address(config.store.host, config.store.port),
          .bucket = config.store.bucket,
          .spool = config.spool.directory.string(),
          .bandwidth_limit = config.store.bandwidth_limit};
}

/// Runs the daemon until a signal; the order of the lines is the order of start and of stop
/// (docs/architecture.md).
int run(const Config& config) {
  keep_few_heaps();
  const StopSignals signals;
  log::set_level(config.log_level);
  log::set_format(config.log_format);
  std::set_terminate(&tell_and_abort);
  const std::jthread log_writer = log::start_writer();
  log::info(kArea, "starting", {{"version", M2B_VERSION}, {"pid", ::getpid()}});
  const CurlGlobal curl;
  require_tls_version(config.mqtt.tls.min_version);
  std::optional<Spool> spool;
  try {
    spool.emplace(config.spool);
  } catch (const SpoolError& error) {
    log::write(log::Level::critical, kArea, error.what(), {});
    return EX_IOERR;
  }
  if (config.mqtt.qos == 0) {
    log::warn(kArea, "MQTT_QOS=0: what the broker sends while we are away or stop is lost");
  }

  StoreContext store(config.store);
  LastPictures pictures;
  Pipeline pipeline(config.pipeline, *spool, [&] { return std::make_unique<S3Store>(store); });
  Receiver receiver(config.mqtt, *spool);
  if (shows_pictures(config.status)) {
    pipeline.set_stored_listener([&pictures](const Object& object) { pictures.offer(object); });
  }
  StatusServer status(config.status,
                      {.spool = *spool,
                       .receiver = receiver,
                       .pipeline = pipeline,
                       .clock_offset = &store.clock_offset,
                       .pictures = &pictures,
                       .names = names_of(config),
                       .tls = {{"broker", &config.mqtt.tls}, {"store", &config.store.tls}}});
  ControlServer control(config.spool.directory, *spool);
  ServiceReporter service(read_service_options(read_environment),
                          service_sources(*spool, receiver, pipeline));
  pipeline.start();
  receiver.start();
  status.start();
  control.start();
  service.ready();  // whatever the broker says: it may be away for days

  const char* const signal = signals.wait();
  log::info(kArea, "stopping", {{"signal", signal}});
  service.stopping();
  const Deadline deadline(config.shutdown_timeout);
  // The receiver and an aborted transfer may need a second each.
  constexpr std::chrono::milliseconds kPatience{1000};
  const bool receiver_ended = receiver.stop(std::min(kPatience, deadline.left()));
  fail_point("stop.receiver");
  pipeline.stop(std::max(deadline.left() - kPatience, std::chrono::milliseconds(0)));
  fail_point("stop.pipeline");
  spool->close();
  fail_point("stop.spool");
  status.stop();  // after what matters; the spool can still be read
  control.stop();
  log::info(kArea, "stopped", {{"waiting", spool->totals().waiting()}});
  if (!receiver_ended) {
    // Paho still waits, for the disk or for a name server. Everything acknowledged is on disk.
    log::flush(kLogPatience);
    ::_exit(EX_OK);
  }
  return EX_OK;
}

int tell_of_few_threads(std::size_t wanted, std::size_t had) {
  log::write(log::Level::critical, kArea,
             "too few threads can be had: raise the limit of processes and threads (ulimit -u, "
             "TasksMax of systemd, pids limit of the container)",
             {{"wanted", wanted}, {"had", had}});
  return EX_OSERR;
}

/// Paho tells nobody when it gets no thread, and never connects. So there must be enough at the
/// start; those that are missing later are done without, or waited for.
int run_with_threads(const Config& config) {
  constexpr std::size_t kOfAllParts = 26;  // docs/architecture.md, "Threads"
  const std::size_t wanted = kOfAllParts + config.pipeline.decoders + config.pipeline.uploaders;
  if (const std::size_t had = threads_to_be_had(wanted); had < wanted) {
    return tell_of_few_threads(wanted, had);
  }
  try {
    return run(config);
  } catch (const std::system_error& error) {
    if (error.code() != std::errc::resource_unavailable_try_again) {
      throw;
    }
    return tell_of_few_threads(wanted, 0);  // others have taken them meanwhile
  }
}

void keep_secrets_private() {
  keep_memory_out_of_core_dumps();
  std::vector<std::string> variables;
  for (const Setting& setting : settings()) {
    if (setting.secret) {
      variables.emplace_back(setting.name);
      variables.emplace_back(setting.other_name);  // an empty one is set nowhere
    }
  }
  hide_from_process_list(variables);
}

int print_mistakes(const std::vector<ConfigError>& mistakes) {
  for (const ConfigError& mistake : mistakes) {
    std::fprintf(stderr, "mqtt-to-blob: %s\n", mistake.c_str());
  }
  return EX_CONFIG;
}

/// For whoever collects the log of a daemon that does not start.
int log_mistakes(const std::vector<ConfigError>& mistakes) {
  log::set_format(log::Format::json);
  for (const ConfigError& mistake : mistakes) {
    log::write(log::Level::critical, kArea, "wrong configuration", {{"mistake", mistake}});
  }
  log::flush(kLogPatience);
  return EX_CONFIG;
}

int print_exit(const Exit& exit) {
  std::fputs(exit.out.c_str(), stdout);
  std::fputs(exit.err.c_str(), stderr);
  return exit.code;
}

int health(const CommandLine& command_line) {
  const auto loaded = load_status_options(read_environment, command_line.flags);
  if (const auto* const mistakes = std::get_if<std::vector<ConfigError>>(&loaded)) {
    return print_mistakes(*mistakes);
  }
  const std::string trouble = check_health(std::get<StatusOptions>(loaded));
  if (!trouble.empty()) {
    std::fprintf(stderr, "mqtt-to-blob: %s\n", trouble.c_str());
    return EXIT_FAILURE;
  }
  std::puts("ok");
  return EX_OK;
}

/// Prints each step as soon as it is known.
int check_connections(const Config& config, const CommandLine& command_line) {
  const StopSignals signals;
  const Fd interrupt = signals.descriptor();
  log::set_level(log::Level::critical);  // the steps say it
  const CurlGlobal curl;
  require_tls_version(config.mqtt.tls.min_version);
  std::vector<CheckStep> steps;
  const auto report = [&](const CheckStep& step) {
    steps.push_back(step);
    std::fputs((command_line.json ? step_json(step) : step_text(step)).c_str(), stdout);
    std::fflush(stdout);
  };
  report({.name = "settings", .seen = "the configuration is valid", .remedy = {}});
  ConnectionCheck check({.mqtt = config.mqtt,
                         .store = config.store,
                         .spool = config.spool,
                         .names = names_of(config),
                         .writes = command_line.writes});
  const ConnectionCheck::Result result = check.run(report, interrupt.get());
  if (!command_line.json) {
    std::fputs(result.was_interrupted ? "interrupted\n" : summary_text(steps).c_str(), stdout);
  }
  std::fflush(stdout);
  const int code = result.was_interrupted ? kCheckInterrupted : exit_code_of(steps);
  if (!result.has_ended) {
    ::_exit(code);  // a library still waits, for a name server for example
  }
  return code;
}

int check_or_run(const CommandLine& command_line) {
  const auto loaded = load_config(read_environment, command_line.flags);
  const bool is_check = command_line.action != CommandLine::Action::run;
  if (const auto* const mistakes = std::get_if<std::vector<ConfigError>>(&loaded)) {
    const bool as_json =
        !is_check && load_log_format(read_environment, command_line.flags) == log::Format::json;
    return as_json ? log_mistakes(*mistakes) : print_mistakes(*mistakes);
  }
  if (command_line.action == CommandLine::Action::connect) {
    return check_connections(std::get<Config>(loaded), command_line);
  }
  if (is_check) {
    std::puts("the configuration is valid");
    return EX_OK;
  }
  const int code = run_with_threads(std::get<Config>(loaded));
  log::flush(kLogPatience);
  return code;
}

int run_tool_line(int argc, const char* const* argv) {
  const auto parsed = parse_tool_line(argc, argv, read_environment);
  if (const auto* const exit = std::get_if<Exit>(&parsed)) {
    return print_exit(*exit);
  }
  log::set_level(log::Level::warning);
  return run_tool(std::get<ToolRequest>(parsed),
                  {std::cout, std::cerr, ::isatty(STDERR_FILENO) != 0});
}

}  // namespace
}  // namespace m2b

int main(int argc, char** argv) {
  m2b::reserve_standard_descriptors();
  m2b::keep_secrets_private();
  if (m2b::is_tool_line(argc, argv)) {
    return m2b::run_tool_line(argc, argv);
  }
  const auto parsed = m2b::parse_command_line(argc, argv);
  if (const auto* const exit = std::get_if<m2b::Exit>(&parsed)) {
    return m2b::print_exit(*exit);
  }
  const auto& command_line = std::get<m2b::CommandLine>(parsed);
  return command_line.action == m2b::CommandLine::Action::health ? m2b::health(command_line)
                                                                 : m2b::check_or_run(command_line);
}
