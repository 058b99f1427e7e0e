#include "bench/bridge.hpp"

#include <algorithm>
#include <charconv>
#include <stdexcept>
#include <string_view>

#include <fmt/format.h>

namespace m2b::bench {
namespace {

Command command_of(const BridgeOptions& options, const Address& status, const Address& broker,
                   const std::string& topic, int qos, const StoreAccess& store,
                   const std::filesystem::path& folder) {
  Command command;
  command.name = "the bridge";
  command.arguments = options.prefix;
  command.arguments.push_back(
      find_program(options.program, "build the target mqtt-to-blob, or name it with --bridge"));
  command.environment = {
      "BROKER_URL=" + broker.host,
      fmt::format("BROKER_PORT={}", broker.port),
      "TOPIC=" + topic,
      fmt::format("MQTT_QOS={}", qos),
      "MINIO_URL=" + store.address.text(),
      "MINIO_SECURE=False",
      "MINIO_ACCESS_KEY=" + store.access_key,
      "MINIO_SECRET_KEY=" + store.secret_key,
      "BUCKET_NAME=" + store.bucket,
      "SPOOL_DIR=" + (folder / kSpoolFolder).string(),
      "STATUS_ADDRESS=" + status.text(),
      fmt::format("UPLOADER_THREADS={}", options.uploaders),
  };
  command.environment.insert(command.environment.end(), options.settings.begin(),
                             options.settings.end());
  command.log = folder / "bridge.log";
  return command;
}

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

}  // namespace

void Footprint::raise_to(const Footprint& other) noexcept {
  private_bytes = std::max(private_bytes, other.private_bytes);
  open_handles = std::max(open_handles, other.open_handles);
  threads = std::max(threads, other.threads);
  spool_file_bytes = std::max(spool_file_bytes, other.spool_file_bytes);
}

Bridge::Bridge(const BridgeOptions& options, const Address& broker, const std::string& topic,
               int qos, const StoreAccess& store, const std::filesystem::path& folder,
               const std::stop_token& stop)
    : status_{kLoopback, free_port()},
      spool_file_(folder / kSpoolFolder / "records" / "data.mdb"),
      process_(command_of(options, status_, broker, topic, qos, store, folder)),
      client_(status_) {
  process_.wait_until(
      [this] {
        const auto answer = client_.get("/readyz");
        return answer && answer->status == 200;
      },
      stop);
}

Bridge::Account Bridge::account() {
  process_.expect_running();
  const auto answer = client_.get("/metrics");
  if (!answer || answer->status != 200) {
    throw std::runtime_error("the bridge does not answer for its /metrics");
  }
  return {sample(answer->body, "received"), sample(answer->body, "stored"),
          sample(answer->body, "dead_lettered") + sample(answer->body, "set_aside") +
              sample(answer->body, "dropped")};
}

Footprint Bridge::footprint() const {
  const pid_t pid = process_.pid();
  return {private_bytes(), open_handles(pid), threads(pid),
          std::filesystem::file_size(spool_file_)};
}

}  // namespace m2b::bench
