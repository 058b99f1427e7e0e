#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "bench/http_client.hpp"
#include "bench/process.hpp"
#include "bench/sockets.hpp"
#include "bench/store.hpp"
#include "bench/usage.hpp"

namespace m2b::bench {

struct BridgeOptions {
  std::string program;
  unsigned uploaders = 0;
  std::vector<std::string> settings;  // further ones, NAME=VALUE
};

/// The spool of a bridge, in its folder.
inline constexpr std::string_view kSpoolFolder = "spool";

/// What a bridge takes of its machine.
struct Footprint {
  std::uint64_t private_bytes = 0;
  std::uint64_t open_handles = 0;
  std::uint64_t threads = 0;
  std::uint64_t spool_file_bytes = 0;  // of waiting messages; it never shrinks

  /// Of each the larger one.
  void raise_to(const Footprint& other) noexcept;
};

/// What a bridge's metrics say of the messages that came since its start.
struct BridgeAccount {
  std::size_t received = 0;
  std::size_t stored = 0;
  std::size_t lost = 0;  // dead letters and what was set aside
};

/// A program that can be a bridge: how it is started and asked.
struct BridgeProgram {
  Command command;
  Address status;          // where it answers over HTTP
  std::string ready_path;  // answers 200 as soon as it is ready
  BridgeAccount (*account)(std::string_view metrics) = nullptr;
  std::filesystem::path spool_file;       // of waiting messages; empty: it has none
  std::chrono::milliseconds settling{0};  // from being ready until it takes messages
};

/// What a bridge stands between.
struct BridgePlace {
  Address broker;
  std::string topic;
  int qos = 1;
  StoreAccess store;  // may lead through a relay
  std::filesystem::path folder;
};

/// The daemon, with a fresh spool unless there is one in the folder.
[[nodiscard]] BridgeProgram daemon_program(const BridgeOptions& options, const BridgePlace& place);

/// The bridge under measurement.
class Bridge {
 public:
  using Account = BridgeAccount;

  /// Returns when it is ready.
  Bridge(const BridgeProgram& program, const std::stop_token& stop);

  /// Throws if it has ended or does not answer.
  [[nodiscard]] Account account();

  [[nodiscard]] CpuTime cpu() const { return cpu_time(process_.pid()); }
  [[nodiscard]] std::uint64_t private_bytes() const { return bench::private_bytes(process_.pid()); }
  [[nodiscard]] Footprint footprint() const;

 private:
  BridgeAccount (*account_)(std::string_view metrics);
  std::filesystem::path spool_file_;
  Process process_;
  HttpClient client_;
};

}  // namespace m2b::bench
