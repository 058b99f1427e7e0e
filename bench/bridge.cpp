#include "bench/bridge.hpp"

#include <algorithm>
#include <charconv>
#include <stdexcept>
#include <string_view>

#include <fmt/format.h>

#include "bench/stop.hpp"
#include "m2b/util/thread.hpp"

namespace m2b::bench {
namespace {

std::size_t sample(std::string_view metrics, std::string_view account) {
  const std::string name =
      fmt::format("mqtt_to_blob_spool_account_messages{{account=\"{}\"}} ", account);
  const std::size_t at = metrics.find(name);
  std::size_t value = 0;
  if (at == std::string_view::npos ||
      std::from_chars(metrics.data() + at + name.size(), metrics.data() + metrics.size(), value)
              .ec != std::errc()) {
    throw std::runtime_error(
        fmt::format("the bridge's /metrics have no {}; is it of the same version?", name));
  }
  return value;
}

BridgeAccount own_account(std::string_view metrics) {
  return {
      sample(metrics, "received"), sample(metrics, "stored"),
      sample(metrics, "dead_lettered") + sample(metrics, "set_aside") + sample(metrics, "dropped")};
}

}  // namespace

void Footprint::raise_to(const Footprint& other) noexcept {
  private_bytes = std::max(private_bytes, other.private_bytes);
  open_handles = std::max(open_handles, other.open_handles);
  threads = std::max(threads, other.threads);
  spool_file_bytes = std::max(spool_file_bytes, other.spool_file_bytes);
}

BridgeProgram daemon_program(const BridgeOptions& options, const BridgePlace& place) {
  BridgeProgram program{{},
                        {kLoopback, free_port()},
                        "/readyz",
                        &own_account,
                        place.folder / kSpoolFolder / "records" / "data.mdb"};
  Command& command = program.command;
  command.name = "the bridge";
  command.arguments = {
      find_program(options.program, "build the target mqtt-to-blob, or name it with --bridge")};
  command.environment = {
      "BROKER_URL=" + place.broker.host,
      fmt::format("BROKER_PORT={}", place.broker.port),
      "TOPIC=" + place.topic,
      fmt::format("MQTT_QOS={}", place.qos),
      "MINIO_URL=" + place.store.address.text(),
      "MINIO_SECURE=False",
      "MINIO_ACCESS_KEY=" + place.store.access_key,
      "MINIO_SECRET_KEY=" + place.store.secret_key,
      "BUCKET_NAME=" + place.store.bucket,
      "SPOOL_DIR=" + (place.folder / kSpoolFolder).string(),
      "STATUS_ADDRESS=" + program.status.text(),
      fmt::format("UPLOADER_THREADS={}", options.uploaders),
  };
  command.environment.insert(command.environment.end(), options.settings.begin(),
                             options.settings.end());
  command.log = place.folder / "bridge.log";
  return program;
}

Bridge::Bridge(const BridgeProgram& program, const std::stop_token& stop)
    : account_(program.account),
      spool_file_(program.spool_file),
      process_(program.command),
      client_(program.status) {
  process_.wait_until(
      [&] {
        const auto answer = client_.get(program.ready_path);
        return answer && answer->status == 200;
      },
      stop);
  if (!sleep_for(program.settling, stop)) throw Interrupted();
}

Bridge::Account Bridge::account() {
  process_.expect_running();
  const auto answer = client_.get("/metrics");
  if (!answer || answer->status != 200) {
    throw std::runtime_error("the bridge does not answer for its /metrics");
  }
  return account_(answer->body);
}

Footprint Bridge::footprint() const {
  const pid_t pid = process_.pid();
  return {private_bytes(), open_handles(pid), threads(pid),
          spool_file_.empty() ? 0 : std::filesystem::file_size(spool_file_)};
}

}  // namespace m2b::bench
