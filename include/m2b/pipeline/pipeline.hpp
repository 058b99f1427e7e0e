#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "m2b/pipeline/options.hpp"
#include "m2b/spool/spool.hpp"
#include "m2b/upload/object_store.hpp"
#include "m2b/util/histogram.hpp"
#include "m2b/util/pulse.hpp"

namespace m2b {

/// What the last answer of the store, or its absence, means for everybody.
enum class StoreState {
  unknown,    ///< not asked yet
  reachable,  ///< it takes objects
  away,       ///< no answer, or busy: probed by one upload at a time
  blocked     ///< it refuses everything until a person changes something; probed as well
};

[[nodiscard]] const char* to_string(StoreState state) noexcept;

/// Why the store takes nothing at the moment.
struct StoreTrouble {
  PutResult last_failure;
  std::chrono::steady_clock::time_point since;  // of the first failure in a row
};

/// Messages that the store refuses while it takes others.
struct Refusal {
  enum class Of {
    prefix,  ///< all with a key that begins so
    size,    ///< all of a class of sizes
    alone    ///< single ones
  };
  Of of = Of::alone;
  std::string prefix = {};        // of `prefix`
  std::uint64_t from_bytes = 0;   // of `size`
  std::uint64_t below_bytes = 0;  // of `size`
  std::size_t messages = 0;       // that wait, or are being tried again
  PutResult cause = {};           // the last refusal
  std::chrono::steady_clock::time_point since = {};
};

/// `prefix`, `size`, `alone`
[[nodiscard]] std::string_view to_string(Refusal::Of of) noexcept;

/// Objects that replaced another one with other bytes under the same key, as far as the last
/// uploads tell. No fault: the later message wins. But who gives each picture one id keeps only the
/// last.
struct Overwrites {
  /// So many uploads are remembered.
  static constexpr std::size_t kWindow = 1'000;

  std::uint64_t total = 0;         // since the start of the process
  std::size_t recent_uploads = 0;  // that are remembered; the same bytes again are none
  std::size_t recent_keys = 0;     // different ones among them

  [[nodiscard]] bool operator==(const Overwrites&) const noexcept = default;
};

/// What the pipeline counts; monotonic since the start of the process. Any thread.
class PipelineStats {
 public:
  void count_upload(const PutResult& result);
  [[nodiscard]] std::uint64_t uploads_stored() const noexcept {
    return stored_.load(std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint64_t uploads_refused(Scope scope) const noexcept {
    return refused_[static_cast<std::size_t>(scope)].load(std::memory_order_relaxed);
  }

  void count_dead_letter(DeadLetterReason reason) noexcept {
    dead_letters_[static_cast<std::size_t>(reason)].fetch_add(1, std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint64_t dead_letters(DeadLetterReason reason) const noexcept {
    return dead_letters_[static_cast<std::size_t>(reason)].load(std::memory_order_relaxed);
  }

  /// `code` is PutResult::code, of which there are few.
  void count_refusal(const std::string& code);
  [[nodiscard]] std::map<std::string, std::uint64_t> refusals() const;

  std::atomic<std::uint64_t> uploaded_bytes{0};
  std::atomic<std::uint64_t> stored_in_batches{0};  // objects
  std::atomic<std::uint64_t> stored_live{0};        // objects, ahead of their turn
  DurationHistogram upload_time;                    // of the uploads that were stored
  std::atomic<WallTime> stored_at{};                // the last one; 1970: none yet
  std::atomic<std::uint64_t> store_outages{0};      // times that store_trouble() began
  /// Of a message that waits for it, with all that came after it.
  std::atomic<std::optional<KeyId>> missing_key{};

 private:
  static constexpr std::size_t kReasons = kDeadLetterReasons.size() + 1;  // numbered from 1

  std::atomic<std::uint64_t> stored_{0};
  std::array<std::atomic<std::uint64_t>, kScopes.size()> refused_{};
  std::array<std::atomic<std::uint64_t>, kReasons> dead_letters_{};
  mutable std::mutex mutex_;  // guards refusals_
  std::map<std::string, std::uint64_t> refusals_;
};

/// From the spool to the store: dispatcher, decoders and uploaders with the queues between them.
/// Whatever is inside is in the spool as well, so it may be stopped or killed at any moment.
///
/// For one key uploads happen one at a time in order of arrival; different keys go in parallel.
/// What comes in behind a backlog may be uploaded ahead of it once more: the later one of a key
/// still ends up in the store. What the store refuses never stops the others (decision 0031).
class Pipeline {
 public:
  /// Makes the store of one uploader thread; called on that thread.
  using StoreFactory = std::function<std::unique_ptr<ObjectStore>()>;

  /// Options and spool outlive the pipeline.
  Pipeline(const PipelineOptions& options, Spool& spool, StoreFactory make_store);
  ~Pipeline();
  Pipeline(const Pipeline&) = delete;
  Pipeline& operator=(const Pipeline&) = delete;

  /// `listener` is called with each object that was stored, by the thread that uploaded it: it must
  /// neither wait nor throw. Set before start().
  void set_stored_listener(std::function<void(const Object&)> listener);

  void start();

  /// Begins nothing new, gives the uploads that run until `finish_within` to end, abandons the rest
  /// and joins all threads. What is abandoned is offered again after the restart. Idempotent.
  void stop(std::chrono::milliseconds finish_within);

  [[nodiscard]] const PipelineStats& stats() const noexcept;
  [[nodiscard]] StoreState store_state() const;
  /// The dispatcher's thread shows in its pulse that it still goes round, once it is poked; the
  /// decoders' that they end each message. Uploads end by their own time limits.
  [[nodiscard]] std::vector<NamedPulse> pulses() const;
  void poke();
  /// Nothing while the store takes objects, or has not been asked yet.
  [[nodiscard]] std::optional<StoreTrouble> store_trouble() const;
  /// What the store refuses while it takes others.
  [[nodiscard]] std::vector<Refusal> refusals() const;
  [[nodiscard]] Overwrites overwrites() const;
  /// How many uploads may run at a time at the moment.
  [[nodiscard]] std::size_t upload_slots() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace m2b
