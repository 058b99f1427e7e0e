#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "m2b/object/object.hpp"
#include "m2b/spool/message.hpp"

namespace m2b {

/// Counts failures that are an object's own: when nothing else was stored between two of them, they
/// are one failure, the store's.
class OwnFailures {
 public:
  /// `stored` as in StoreGate::Pass.
  void add(std::uint64_t stored) noexcept {
    if (count_ == 0 || stored != stored_) {
      ++count_;
      stored_ = stored;
    }
  }
  [[nodiscard]] int count() const noexcept { return count_; }

 private:
  int count_ = 0;
  std::uint64_t stored_ = 0;
};

/// A record that is to be decoded.
struct DecodeJob {
  SpoolId id{};
  std::size_t record_bytes = 0;     // in the spool
  std::size_t budget_bytes = 0;     // its share of the budget
  std::uint32_t postponements = 0;  // above 0 it comes round again
  OwnFailures failures = {};        // in all rounds
  std::uint32_t tries = 0;          // to put it, likewise
  bool early = false;               // ahead of its turn
};

/// An object on its way to the store.
struct UploadJob {
  SpoolId id{};
  std::size_t record_bytes = 0;
  std::size_t budget_bytes = 0;
  std::uint32_t postponements = 0;
  OwnFailures failures;
  std::uint32_t tries = 0;         // in all rounds
  int attempts = 0;                // in this round
  bool alone = false;              // was in a batch that failed
  bool early = false;              // ahead of its turn; if it fails, its turn will come
  std::unique_ptr<Object> object;  // none: it gave up its memory and has to be read again
};

}  // namespace m2b
