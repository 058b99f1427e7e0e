#include "m2b/upload/store_proof.hpp"

namespace m2b {

ProofPlan StoreProof::plan() const {
  const std::lock_guard lock(mutex_);
  ProofPlan plan = Clock::now() - planned_at_ < kTrustTime ? plan_ : ProofPlan{};
  plan.signs_payload = must_sign_payload_ || plan.sends_digest || !has_echoed_;
  return plan;
}

void StoreProof::proven(const ProofPlan& plan, bool echoed) {
  const std::lock_guard lock(mutex_);
  has_echoed_ = has_echoed_ || echoed;
  const bool is_known =
      plan.sends_checksum == plan_.sends_checksum && plan.sends_digest == plan_.sends_digest;
  if (is_known && Clock::now() - planned_at_ < kTrustTime) return;
  plan_ = plan;
  planned_at_ = Clock::now();
}

bool StoreProof::has_echoed() const {
  const std::lock_guard lock(mutex_);
  return has_echoed_;
}

void StoreProof::payload_must_be_signed() {
  const std::lock_guard lock(mutex_);
  must_sign_payload_ = true;
}

bool StoreProof::may_try_another() const {
  const std::lock_guard lock(mutex_);
  return Clock::now() >= believes_until_;
}

void StoreProof::another_was_refused_alike() {
  const std::lock_guard lock(mutex_);
  believes_until_ = Clock::now() + kBeliefTime;
}

void StoreProof::saw_server(std::string_view server) {
  const std::lock_guard lock(mutex_);
  if (server == server_) return;
  server_ = server;
  forget();
}

void StoreProof::doubt() {
  is_doubted_.store(true, std::memory_order_relaxed);
  const std::lock_guard lock(mutex_);
  forget();
}

void StoreProof::forget() {
  plan_ = {};
  has_echoed_ = false;
  must_sign_payload_ = false;
  believes_until_ = {};
}

}  // namespace m2b
