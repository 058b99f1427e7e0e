#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string_view>
#include <unordered_map>

#include "m2b/pipeline/pipeline.hpp"

namespace m2b {

/// Notices objects that replace others with other bytes under the same key, as when a camera sends
/// each picture with one id. It remembers the last Overwrites::kWindow uploads and no more, so what
/// replaces an older one is not noticed. The same bytes again, as after a redelivery, are nothing
/// new. Knows keys and bytes by their hashes. Thread-safe.
class OverwriteCounter {
 public:
  /// The store has taken an object. Uploads of one key are told in their order. The hash of the key
  /// is Delivery::key_hash.
  void stored(std::uint64_t key_hash, std::string_view body);

  [[nodiscard]] Overwrites overwrites() const;

 private:
  struct Key {
    std::uint64_t body_hash = 0;  // of the last one
    std::size_t uploads = 0;      // of those in the window
  };

  mutable std::mutex mutex_;                               // guards the fields below
  std::array<std::uint64_t, Overwrites::kWindow> keys_{};  // of the last uploads, as a ring
  std::size_t next_ = 0;
  std::unordered_map<std::uint64_t, Key> by_key_;  // what is in the ring
  Overwrites counts_;
};

}  // namespace m2b
