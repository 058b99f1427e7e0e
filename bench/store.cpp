#include "bench/store.hpp"

#include <charconv>
#include <cstdlib>
#include <stdexcept>
#include <utility>

#include <fmt/format.h>

#include "bench/http_client.hpp"
#include "bench/process.hpp"

namespace m2b::bench {
namespace {

constexpr std::string_view kScheme = "http://";

class DiscardingStore final : public Store {
 public:
  DiscardingStore(const StoreChoice& choice, AnswerListener on_answer)
      : store_(std::move(on_answer)),
        access_{{kLoopback, store_.port()}, "bench", "bench-secret", choice.bucket, false} {}

  [[nodiscard]] const StoreAccess& access() const override { return access_; }
  [[nodiscard]] std::optional<CpuTime> cpu() const override { return store_.cpu(); }
  [[nodiscard]] bool tells_answers() const override { return true; }

 private:
  DiscardStore store_;
  StoreAccess access_;
};

class NamedStore final : public Store {
 public:
  explicit NamedStore(const StoreChoice& choice)
      : access_{parse_address(choice.kind.substr(kScheme.size()), "--store"), choice.access_key,
                choice.secret_key, choice.bucket} {
    if (choice.access_key.empty() || choice.secret_key.empty()) {
      throw std::invalid_argument(fmt::format(
          "--store {} needs its keys: give --access-key and --secret-key", choice.kind));
    }
  }

  [[nodiscard]] const StoreAccess& access() const override { return access_; }
  [[nodiscard]] std::optional<CpuTime> cpu() const override { return std::nullopt; }

 private:
  StoreAccess access_;
};

std::string variable(const char* name) {
  const char* const value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): never set
  return value != nullptr ? value : "";
}

/// As scripts/minio leaves it.
std::string minio_program(const StoreChoice& choice) {
  constexpr const char* kRemedy =
      "name one with --minio or MINIO_BIN, let scripts/minio fetch one, or use --store discard";
  if (!choice.minio.empty()) return find_program(choice.minio, kRemedy);
  if (const std::string named = variable("MINIO_BIN"); !named.empty()) {
    return find_program(named, kRemedy);
  }
  std::string cache = variable("XDG_CACHE_HOME");
  if (cache.empty()) cache = variable("HOME") + "/.cache";
  return find_program(cache + "/mqtt-to-blob/bin/minio", kRemedy);
}

class Minio final : public Store {
 public:
  Minio(const StoreChoice& choice, const std::filesystem::path& folder, const std::stop_token& stop)
      : access_{{kLoopback, free_port()}, "bench", "bench-secret", choice.bucket},
        process_(command(minio_program(choice), folder)) {
    HttpClient client(access_.address);
    // The health check answers a little before the server takes requests.
    const auto status = [&](const char* path) {
      const auto answer = client.get(path);
      return answer ? answer->status : 0;
    };
    process_.wait_until(
        [&] { return status("/minio/health/ready") == 200 && status("/any") == 403; }, stop);
  }

  [[nodiscard]] const StoreAccess& access() const override { return access_; }
  [[nodiscard]] std::optional<CpuTime> cpu() const override { return cpu_time(process_.pid()); }

 private:
  [[nodiscard]] Command command(const std::string& program,
                                const std::filesystem::path& folder) const {
    return {"MinIO",
            {program, "server", "--quiet", "--address", access_.address.text(), "--console-address",
             Address{kLoopback, free_port()}.text(), (folder / "minio").string()},
            {"HOME=" + folder.string(), "MINIO_ROOT_USER=" + access_.access_key,
             "MINIO_ROOT_PASSWORD=" + access_.secret_key, "MINIO_BROWSER=off"},
            folder / "minio.log"};
  }

  StoreAccess access_;
  Process process_;
};

}  // namespace

std::unique_ptr<Store> make_store(const StoreChoice& choice, const std::filesystem::path& folder,
                                  AnswerListener on_answer, const std::stop_token& stop) {
  if (choice.kind == "discard") {
    return std::make_unique<DiscardingStore>(choice, std::move(on_answer));
  }
  if (choice.kind == "minio") return std::make_unique<Minio>(choice, folder, stop);
  if (choice.kind.starts_with(kScheme)) return std::make_unique<NamedStore>(choice);
  throw std::invalid_argument(fmt::format(
      "--store '{}' is no store: give minio, discard or http://host:port", choice.kind));
}

Address parse_address(const std::string& text, const std::string& option) {
  const std::size_t colon = text.rfind(':');
  std::uint16_t port = 0;
  if (colon != std::string::npos && colon > 0) {
    const char* const end = text.data() + text.size();
    const auto [rest, error] = std::from_chars(text.data() + colon + 1, end, port);
    if (error == std::errc() && rest == end && port != 0) return {text.substr(0, colon), port};
  }
  throw std::invalid_argument(
      fmt::format("{}: '{}' is no address; give host:port, such as 127.0.0.1:9000", option, text));
}

}  // namespace m2b::bench
