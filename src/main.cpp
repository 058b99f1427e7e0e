#include <malloc.h>
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

#include "m2b/cli/command_line.hpp"
#include "m2b/cli/tool_line.hpp"
#include "m2b/config/config.hpp"
#include "m2b/control/control_server.hpp"
#include "m2b/mqtt/receiver.hpp"
#include "m2b/pipeline/pipeline.hpp"
#include "m2b/service/service_reporter.hpp"
#include "m2b/service/signals.hpp"
#include "m2b/spool/spool.hpp"
#include "m2b/status/last_pictures.hpp"
#include "m2b/status/status_monitor.hpp"
#include "m2b/status/status_server.hpp"
#include "m2b/tls/tls_material.hpp"
#include "m2b/tools/tools.hpp"
#include "m2b/upload/s3_store.hpp"
#include "m2b/upload/store_context.hpp"
#include "m2b/util/fail_point.hpp"
#include "m2b/util/log.hpp"
#include "m2b/util/process.hpp"
#include "m2b/util/secret_source.hpp"
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

/// The threads with a loop. poke() makes each of them go round.
std::vector<NamedPulse> pulses_of(const Spool& spool, const Receiver& receiver,
                                  const Pipeline& pipeline) {
  std::vector<NamedPulse> pulses = pipeline.pulses();
  pulses.push_back({"spool-writer", &spool.pulse()});
  pulses.push_back({"mqtt-session", &receiver.pulse()});
  return pulses;
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

void warn_of_unusable_files(const char* peer, const TlsOptions& tls) {
  if (const auto fault = check_tls_files(tls)) {
    log::warn("tls", "a file cannot be used; new connections go on with what was read before",
              {{"peer", peer}, {"file", file_of(tls, fault->part)}, {"cause", fault->text}});
  }
}

/// Connections read these files by themselves when they are made. So that a person who has replaced
/// one learns now whether it can be used, and not with the next connection.
void read_files_again(const Config& config, CredentialsSource& credentials) {
  credentials.read_again();
  static_cast<void>(SecretSource("MQTT_PASSWORD", config.mqtt.password, config.mqtt.password_file,
                                 &is_mqtt_password)
                        .current());
  static_cast<void>(
      SecretSource("STATUS_TOKEN", config.status.token, config.status.token_file, &is_status_token)
          .current());
  if (is_secure(config.mqtt.transport)) {
    warn_of_unusable_files("broker", config.mqtt.tls);
  }
  if (config.store.secure) {
    warn_of_unusable_files("store", config.store.tls);
  }
  log::info(
      kArea,
      "files with keys, passwords and certificates were read again; new connections use them, "
      "and settings change with a restart");
}

/// Returns the signal that stops the daemon; those before it are answered.
std::string wait_for_stop(const Signals& signals, const Config& config,
                          CredentialsSource& credentials) {
  while (true) {
    const int signal = signals.wait();
    switch (meaning_of(signal)) {
      case SignalMeaning::stop:
        return name_of_signal(signal);
      case SignalMeaning::read_files:
        log::info(kArea, "signal", {{"signal", name_of_signal(signal)}});
        read_files_again(config, credentials);
        break;
      case SignalMeaning::none:
        log::info(kArea, "signal has no effect", {{"signal", name_of_signal(signal)}});
        break;
    }
  }
}

/// Runs the daemon until a signal; the order of the lines is the order of start and of stop
/// (docs/architecture.md).
int run(const Config& config, const Signals& signals) {
  keep_few_heaps();
  log::set_level(config.log_level);
  log::set_format(config.log_format);
  std::set_terminate(&tell_and_abort);
  const std::jthread log_writer = log::start_writer();
  log::info(kArea, "starting", {{"version", M2B_VERSION}, {"pid", ::getpid()}});
  for (const std::string& warning : config.warnings) {
    log::warn(kArea, "a setting looks like a mistake", {{"setting", warning}});
  }
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
  const std::vector<NamedPulse> pulses = pulses_of(*spool, receiver, pipeline);
  const auto poke = [&] {
    spool->poke();
    pipeline.poke();
    receiver.poke();
  };
  StatusMonitor monitor({.spool = *spool,
                         .receiver = receiver,
                         .pipeline = pipeline,
                         .clock_offset = &store.clock_offset,
                         .pictures = &pictures,
                         .names = names_of(config),
                         .tls = {{"broker", &config.mqtt.tls}, {"store", &config.store.tls}},
                         .pulses = pulses,
                         .poke = poke});
  StatusServer status(config.status, monitor);
  ControlServer control(config.spool.directory, *spool);
  ServiceReporter service(
      read_service_options(read_environment),
      {.status = [&] { return monitor.sentence(); }, .poke = poke, .pulses = pulses});
  pipeline.start();
  receiver.start();
  monitor.start();
  status.start();
  control.start();
  service.ready();  // whatever the broker says: it may be away for days

  const std::string signal = wait_for_stop(signals, config, store.credentials);
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
  monitor.stop();
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
int run_with_threads(const Config& config, const Signals& signals) {
  constexpr std::size_t kOfAllParts = 26;  // docs/architecture.md, "Threads"
  const std::size_t wanted = kOfAllParts + config.pipeline.decoders + config.pipeline.uploaders;
  if (const std::size_t had = threads_to_be_had(wanted); had < wanted) {
    return tell_of_few_threads(wanted, had);
  }
  try {
    return run(config, signals);
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

int check(const CommandLine& command_line) {
  const auto loaded = load_config(read_environment, command_line.flags);
  if (const auto* const mistakes = std::get_if<std::vector<ConfigError>>(&loaded)) {
    return print_mistakes(*mistakes);
  }
  for (const std::string& warning : std::get<Config>(loaded).warnings) {
    std::fprintf(stderr, "mqtt-to-blob: warning: %s\n", warning.c_str());
  }
  std::puts("the configuration is valid");
  return EX_OK;
}

int load_and_run(const CommandLine& command_line) {
  const auto loaded = load_config(read_environment, command_line.flags);
  if (const auto* const mistakes = std::get_if<std::vector<ConfigError>>(&loaded)) {
    const bool as_json = load_log_format(read_environment, command_line.flags) == log::Format::json;
    return as_json ? log_mistakes(*mistakes) : print_mistakes(*mistakes);
  }
  const Signals signals;
  const int code = run_with_threads(std::get<Config>(loaded), signals);
  log::flush(kLogPatience);
  return code;
}

int run_tool_line(int argc, const char* const* argv) {
  // A file that may not grow is to be named. All other signals end a tool as they end any command.
  std::signal(SIGXFSZ, SIG_IGN);
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
  switch (command_line.action) {
    case m2b::CommandLine::Action::check:
      return m2b::check(command_line);
    case m2b::CommandLine::Action::health:
      return m2b::health(command_line);
    case m2b::CommandLine::Action::run:
      break;
  }
  return m2b::load_and_run(command_line);
}
