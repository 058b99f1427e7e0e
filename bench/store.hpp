#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include "bench/discard_store.hpp"
#include "bench/sockets.hpp"
#include "bench/usage.hpp"

namespace m2b::bench {

/// What clients of a store have to know.
struct StoreAccess {
  Address address;
  std::string access_key;
  std::string secret_key;
  std::string bucket;
  bool is_signed = true;  // false: any request will do
};

struct StoreChoice {
  std::string kind = "minio";  // "minio", "discard", or a URL of a running one
  std::string minio;           // the program; empty: looked for
  std::string access_key;
  std::string secret_key;
  std::string bucket = "mqtt-to-blob-bench";
};

/// The store of one run; its processes and threads end with it.
class Store {
 public:
  virtual ~Store() = default;
  [[nodiscard]] virtual const StoreAccess& access() const = 0;
  /// Nothing where the store is none of ours.
  [[nodiscard]] virtual std::optional<CpuTime> cpu() const = 0;
  /// Whether it told the listener of its answers.
  [[nodiscard]] virtual bool tells_answers() const { return false; }
};

/// Starts the store, or takes the one that is named; `folder` is for its files.
[[nodiscard]] std::unique_ptr<Store> make_store(const StoreChoice& choice,
                                                const std::filesystem::path& folder,
                                                AnswerListener on_answer,
                                                const std::stop_token& stop);

/// `host:port`; throws with `option` named where it is none.
[[nodiscard]] Address parse_address(const std::string& text, const std::string& option);

}  // namespace m2b::bench
