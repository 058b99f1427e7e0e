#include "pipeline/retry_policy.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <string>
#include <vector>

namespace {

TEST_SUITE("retry_policy") {
  using namespace m2b;
  using namespace std::chrono_literals;
  using Time = RefusalHistory::Time;
  using Opens = std::vector<std::size_t>;

  // Indexes of the groups in the evidence below, from the widest to the narrowest.
  constexpr std::size_t kAll = 0;
  constexpr std::size_t kSize = 1;
  constexpr std::size_t kPrefix = 2;
  constexpr std::size_t kGroups = 3;

  const RetryOptions options{.postponement = {.base = 1s, .cap = 5min}, .dead_letter_after = 1h};
  const Time start{};

  PutResult ambiguous(int status, const char* code, bool may_be_object_fault = false) {
    PutResult result = refusal(Scope::ambiguous, status, code);
    result.may_be_object_fault = may_be_object_fault;
    return result;
  }
  PutResult unsent() {
    PutResult result = refusal(Scope::path, 0, "could_not_connect");
    result.is_unsent = true;
    return result;
  }
  PutResult stopped() {
    PutResult result;
    result.outcome = PutOutcome::stopped;
    return result;
  }
  PutResult asks_to_wait(Scope scope) {
    PutResult result = refusal(scope, 503, "SlowDown");
    result.retry_after = 7s;
    return result;
  }

  /// What a row of the table knows besides the answer.
  struct Known {
    std::uint32_t refusals = 1;  // of this delivery, this one included
    std::uint32_t own = 0;
    std::uint32_t proven = 0;
    std::chrono::minutes tried{0};
    unsigned in_row = 1;  // different deliveries of each group, refused one after the other
    bool others_pass = false;
    bool prefix_is_open = false;
    unsigned in_row_of_all = 0;  // while others pass
  };

  RetryDecision decide(const PutResult& result, const Known& known) {
    const RefusalHistory history{.refusals = known.refusals,
                                 .own_refusals = known.own,
                                 .proven_refusals = known.proven,
                                 .first_refused_at = start};
    Evidence evidence;
    evidence.others_stored_since = known.others_pass;
    evidence.groups.assign(kGroups, {.refused_in_row = known.in_row});
    // What passed was of another prefix and size.
    evidence.groups[kAll].refused_in_row = known.others_pass ? known.in_row_of_all : known.in_row;
    evidence.groups[kPrefix].is_open = known.prefix_is_open;
    return decide_retry(history, result, evidence, options, start + known.tried);
  }

  struct Row {
    const char* what;
    PutResult result;
    Known known;
    RetryAction action;
    Opens opens = {};
  };

  TEST_CASE("what becomes of a delivery") {
    using enum RetryAction;
    const PutResult denied = ambiguous(403, "AccessDenied");
    const PutResult large = ambiguous(413, "http_413");
    const PutResult invalid = ambiguous(400, "InvalidArgument", true);
    const PutResult busy = refusal(Scope::store, 503, "SlowDown");
    const PutResult key = refusal(Scope::credentials, 403, "InvalidAccessKeyId");
    const PutResult missing = refusal(Scope::bucket, 404, "NoSuchBucket");
    const PutResult reset = refusal(Scope::path, 0, "connection_reset");
    const std::vector<Row> rows = {
        // what it is                          answer    known                              then
        {"stored", stored_result(), {}, remove},
        {"stopping", stopped(), {}, abandon},
        {"a code about the object",
         refusal(Scope::object, 400, "KeyTooLongError"),
         {},
         dead_letter},

        {"no connection", unsent(), {}, retry_now, {kAll}},
        {"no connection, seen before", unsent(), {.refusals = 9}, retry_now, {kAll}},
        {"a busy store", busy, {}, retry_now, {kAll}},
        {"a wrong key", key, {}, retry_now, {kAll}},
        {"no bucket", missing, {}, retry_now, {kAll}},
        {"a broken connection", reset, {}, retry_now, {kAll}},
        {"a wrong key, the third", key, {.in_row = 3}, wait, {kAll, kSize, kPrefix}},

        {"busy, while others pass", busy, {.others_pass = true}, retry_later},
        {"busy for it alone, again",
         busy,
         {.refusals = 2, .own = 2, .others_pass = true},
         retry_later},
        {"busy for its prefix", busy, {.in_row = 3, .others_pass = true}, wait, {kSize, kPrefix}},
        {"busy, and its prefix is known for it", busy, {.prefix_is_open = true}, wait, {kPrefix}},
        {"busy, while others pass, with Retry-After",
         asks_to_wait(Scope::store),
         {.others_pass = true, .in_row_of_all = 1},
         retry_later},
        {"likewise, the second in a row",
         asks_to_wait(Scope::store),
         {.others_pass = true, .in_row_of_all = 2},
         retry_now,
         {kAll}},

        {"denied, the first", denied, {}, retry_later},
        {"denied, the third", denied, {.in_row = 3}, wait, {kAll, kSize, kPrefix}},
        {"denied, others pass", denied, {.in_row = 3, .others_pass = true}, wait, {kSize, kPrefix}},
        {"denied, its prefix is known for it",
         denied,
         {.others_pass = true, .prefix_is_open = true},
         wait,
         {kPrefix}},
        {"too large for the proxy", large, {.others_pass = true}, retry_later},

        {"invalid, proven often enough",
         invalid,
         {.refusals = 6, .own = 6, .proven = 6, .tried = 60min, .others_pass = true},
         dead_letter},
        {"invalid, too early",
         invalid,
         {.refusals = 6, .own = 6, .proven = 6, .tried = 59min, .others_pass = true},
         retry_later},
        {"invalid, too seldom",
         invalid,
         {.refusals = 5, .own = 5, .proven = 5, .tried = 600min, .others_pass = true},
         retry_later},
        {"invalid, while none of its prefix and size passes",
         invalid,
         {.refusals = 99, .own = 99, .proven = 0, .tried = 600min, .others_pass = true},
         retry_later},
        {"denied, however often",
         denied,
         {.refusals = 99, .own = 99, .proven = 99, .tried = 600min, .others_pass = true},
         retry_later},
        {"too large for the proxy, however often",
         large,
         {.refusals = 99, .own = 99, .proven = 99, .tried = 600min, .others_pass = true},
         retry_later},
    };
    for (const Row& row : rows) {
      CAPTURE(row.what);
      const RetryDecision decision = decide(row.result, row.known);
      CHECK(decision.action == row.action);
      CHECK(decision.opens == row.opens);
    }
  }

  TEST_CASE("a group of which others were stored just now takes more refusals to open") {
    Evidence evidence;
    evidence.groups.assign(kGroups,
                           {.refused_in_row = kOpensAfterSuccess - 1, .stored_lately = true});
    const RefusalHistory history{.refusals = 1};
    const PutResult denied = ambiguous(403, "AccessDenied");
    CHECK(decide_retry(history, denied, evidence, options, start).opens.empty());
    evidence.groups.assign(kGroups, {.refused_in_row = kOpensAfterSuccess, .stored_lately = true});
    CHECK(decide_retry(history, denied, evidence, options, start).opens ==
          Opens{kAll, kSize, kPrefix});
  }

  TEST_CASE("the pauses grow with the refusals that are its own, and Retry-After is kept") {
    const auto pause = [](std::uint32_t own, const PutResult& result) {
      return decide(result, {.refusals = own + 1, .own = own, .others_pass = true}).pause;
    };
    const PutResult denied = ambiguous(403, "AccessDenied");
    CHECK(pause(0, denied) == 1s);
    CHECK(pause(1, denied) == 1s);
    CHECK(pause(2, denied) == 2s);
    CHECK(pause(5, denied) == 16s);
    CHECK(pause(50, denied) == 5min);
    CHECK(pause(1, asks_to_wait(Scope::ambiguous)) == 7s);
  }
}

}  // namespace
