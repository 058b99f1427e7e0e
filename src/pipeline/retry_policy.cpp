#include "pipeline/retry_policy.hpp"

#include <algorithm>

namespace m2b {
namespace {

constexpr std::size_t kEverything = 0;
/// Different deliveries in a row whose Retry-After counts for everything although others are
/// stored.
constexpr unsigned kAsksEverything = 2;

bool is_wide(Scope scope) {
  switch (scope) {
    case Scope::object:
    case Scope::ambiguous:
      return false;
    case Scope::credentials:
    case Scope::bucket:
    case Scope::store:
    case Scope::path:
      return true;
  }
  return false;
}

bool is_proven_fault(const RefusalHistory& history, const PutResult& result,
                     const RetryOptions& options, RefusalHistory::Time now) {
  return result.may_be_object_fault && history.proven_refusals >= kProvenRefusals &&
         now - history.first_refused_at >= options.dead_letter_after;
}

bool opens(const Evidence::Group& group) {
  return group.is_open ||
         group.refused_in_row >= (group.stored_lately ? kOpensAfterSuccess : kOpensAfter);
}

/// Those with so many refusals in a row, except the one for everything.
void open_narrow_groups(const Evidence& evidence, RetryDecision& decision) {
  for (std::size_t i = kEverything + 1; i < evidence.groups.size(); ++i) {
    if (opens(evidence.groups[i])) {
      decision.opens.push_back(i);
    }
  }
}

/// A narrow group whose breaker is open already explains why this one was refused as well.
bool is_explained(const Evidence& evidence) {
  return std::any_of(evidence.groups.begin() + 1, evidence.groups.end(),
                     [](const Evidence::Group& group) { return group.is_open; });
}

bool has_narrow_group(const RetryDecision& decision) {
  return std::ranges::any_of(decision.opens, [](std::size_t i) { return i != kEverything; });
}

}  // namespace

RetryDecision decide_retry(const RefusalHistory& history, const PutResult& result,
                           const Evidence& evidence, const RetryOptions& options,
                           RefusalHistory::Time now) {
  switch (result.outcome) {
    case PutOutcome::stored:
      return {.action = RetryAction::remove};
    case PutOutcome::stopped:
      return {.action = RetryAction::abandon};
    case PutOutcome::refused:
      break;
  }
  if (result.scope == Scope::object) {
    return {.action = RetryAction::dead_letter};
  }
  if (result.is_unsent) {
    return {.action = RetryAction::retry_now, .opens = {kEverything}};
  }
  if (is_proven_fault(history, result, options, now)) {
    return {.action = RetryAction::dead_letter};
  }

  RetryDecision decision;
  open_narrow_groups(evidence, decision);
  const bool others_pass = evidence.others_stored_meanwhile || evidence.others_stored_since;
  // One alone may say so of itself, however often it comes round. Two in a row speak for
  // everything.
  const bool asks_to_wait = result.retry_after.count() > 0 &&
                            evidence.groups[kEverything].refused_in_row >= kAsksEverything;
  if (is_wide(result.scope) && !is_explained(evidence) && (!others_pass || asks_to_wait)) {
    decision.opens.insert(decision.opens.begin(), kEverything);
    // A second refusal may be about this one after all: others must not lack its memory for ever.
    const bool makes_room = has_narrow_group(decision) || history.refusals > 1;
    decision.action = makes_room ? RetryAction::wait : RetryAction::retry_now;
    return decision;
  }
  if (opens(evidence.groups[kEverything])) {
    decision.opens.insert(decision.opens.begin(), kEverything);
  }
  decision.action = has_narrow_group(decision) ? RetryAction::wait : RetryAction::retry_later;
  const std::uint32_t rounds = std::max(history.own_refusals, 1U) - 1;
  decision.pause = std::max<std::chrono::milliseconds>(
      Backoff::ceiling(options.postponement, rounds), result.retry_after);
  return decision;
}

}  // namespace m2b
