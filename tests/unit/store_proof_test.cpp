#include "m2b/upload/store_proof.hpp"

#include <doctest/doctest.h>

namespace {

using m2b::ProofPlan;
using m2b::StoreProof;

TEST_SUITE("store proof") {
  TEST_CASE("the usual is tried first") {
    const StoreProof proof;
    CHECK(proof.plan().sends_checksum);
    CHECK_FALSE(proof.plan().sends_digest);
    CHECK_FALSE(proof.has_echoed());
    CHECK_FALSE(proof.is_doubted());
  }

  TEST_CASE("what proved an upload is done again, until another server answers") {
    StoreProof proof;
    proof.saw_server("Other");
    proof.proven(ProofPlan{.sends_checksum = false, .sends_digest = true}, false);
    proof.saw_server("Other");
    CHECK_FALSE(proof.plan().sends_checksum);
    CHECK(proof.plan().sends_digest);
    proof.saw_server("MinIO");
    CHECK(proof.plan().sends_checksum);
    CHECK_FALSE(proof.plan().sends_digest);
  }

  TEST_CASE("an echo is remembered until another server answers") {
    StoreProof proof;
    proof.proven({}, true);
    proof.proven({}, false);
    CHECK(proof.has_echoed());
    CHECK_FALSE(proof.plan().signs_payload);  // the store checks the checksum
    proof.saw_server("Other");
    CHECK_FALSE(proof.has_echoed());
    CHECK(proof.plan().signs_payload);
  }

  TEST_CASE("a store that wants the payload signed gets it so") {
    StoreProof proof;
    proof.proven({}, true);
    proof.payload_must_be_signed();
    CHECK(proof.plan().signs_payload);
    proof.saw_server("Other");
    proof.proven({}, true);
    CHECK_FALSE(proof.plan().signs_payload);
  }

  TEST_CASE("after another plan was refused alike, a refusal is believed at once") {
    StoreProof proof;
    proof.saw_server("One");
    CHECK(proof.may_try_another());
    proof.another_was_refused_alike();
    CHECK_FALSE(proof.may_try_another());
    proof.saw_server("Other");
    CHECK(proof.may_try_another());
  }

  TEST_CASE("doubt forgets what was known, and stays until the bucket was seen") {
    StoreProof proof;
    proof.proven(ProofPlan{.sends_checksum = true, .sends_digest = true}, true);
    proof.doubt();
    CHECK(proof.is_doubted());
    CHECK_FALSE(proof.plan().sends_digest);
    CHECK_FALSE(proof.has_echoed());
    proof.proven({}, true);
    proof.saw_server("MinIO");
    CHECK(proof.is_doubted());
    proof.trust();
    CHECK_FALSE(proof.is_doubted());
  }
}

}  // namespace
