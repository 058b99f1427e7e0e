#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <stop_token>

#include "bench/latencies.hpp"
#include "bench/relay.hpp"
#include "bench/store.hpp"

namespace m2b::bench {

/// A store whose answers to the bridge are noted: by itself or, before one that cannot tell, by a
/// relay.
class TimedStore {
 public:
  /// `latencies` outlives it. With `is_timed` false there is no relay, which would cost time.
  TimedStore(const StoreChoice& choice, const std::filesystem::path& folder, Latencies& latencies,
             bool is_timed, const std::stop_token& stop);

  [[nodiscard]] const Store& store() const noexcept { return *store_; }
  /// For the bridge; others go to the store itself.
  [[nodiscard]] StoreAccess access() const;

 private:
  std::unique_ptr<Store> store_;
  std::optional<Relay> relay_;
};

}  // namespace m2b::bench
