#pragma once

#include <atomic>
#include <chrono>
#include <mutex>
#include <string>
#include <string_view>

namespace m2b {

/// What an upload sends so that its answer can prove that the store has the bytes.
struct ProofPlan {
  bool sends_checksum = true;  ///< `x-amz-checksum-sha256`, which most stores echo
  bool sends_digest = false;   ///< the SHA-256 as metadata of the object, for a HEAD to show
  /// The SHA-256 as that of the payload as well. Not where the store is known to check the
  /// checksum, which is signed like it: it would hash the body twice.
  bool signs_payload = true;
};

/// What is known of how the store proves uploads (decision 0026); shared by all connections. It
/// spares requests and proves nothing: each upload has a proof of its own. Thread-safe.
class StoreProof {
 public:
  /// What is known of a store that needs more than the usual is asked again after this time.
  static constexpr std::chrono::minutes kTrustTime{10};
  /// For so long a refusal is believed at once, after another plan was refused alike.
  static constexpr std::chrono::minutes kBeliefTime{1};

  [[nodiscard]] ProofPlan plan() const;

  /// An upload with this plan was proven. `echoed`: by the store's own checksum.
  void proven(const ProofPlan& plan, bool echoed);
  /// Whether an upload was ever proven by the checksum since the store was last another.
  [[nodiscard]] bool has_echoed() const;
  /// An upload without a signed payload was refused, and the same with one was not.
  void payload_must_be_signed();

  /// Whether a refused upload is worth trying with another plan. Each try is one more request, with
  /// all of the body, to a store that may be refusing everything.
  [[nodiscard]] bool may_try_another() const;
  void another_was_refused_alike();

  /// The Server header of an answer. Another than before is another store, or another way to it:
  /// what was known is forgotten.
  void saw_server(std::string_view server);

  /// Something that is no S3 store answered, or a proof failed: what was known is forgotten, and no
  /// object is sent before the bucket was seen again.
  void doubt();
  /// The bucket was seen.
  void trust() noexcept { is_doubted_.store(false, std::memory_order_relaxed); }
  [[nodiscard]] bool is_doubted() const noexcept {
    return is_doubted_.load(std::memory_order_relaxed);
  }

 private:
  using Clock = std::chrono::steady_clock;

  void forget();  // with the mutex held

  std::atomic<bool> is_doubted_ = false;
  mutable std::mutex mutex_;  // guards the fields below
  ProofPlan plan_;
  Clock::time_point planned_at_;
  Clock::time_point believes_until_;
  bool has_echoed_ = false;
  bool must_sign_payload_ = false;
  std::string server_;
};

}  // namespace m2b
