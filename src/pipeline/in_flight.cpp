#include "pipeline/in_flight.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace m2b {
namespace {

/// With everything blocked for a reason that is hardly about single deliveries, so many of a
/// blocked group leave the memory to make room for others, which may tell more.
constexpr std::size_t kSearchDepth = 256;
/// Those that come round by themselves take a fifth of the time of one uploader at most.
constexpr int kSoloRest = 4;
constexpr std::chrono::seconds kMaxSoloRest{5};
/// A dead letter that could not be written for want of disk is tried again as one in this round.
constexpr std::uint32_t kRoundOfDisk = 3;
/// Stands for what is asked of the store besides deliveries.
constexpr SpoolId kQuestion{0};
/// Adds to the rank of a probe that was refused before.
constexpr std::size_t kRefusedBefore = 1000;

}  // namespace

InFlight::InFlight(const Options& options, std::random_device::result_type seed)
    : retry_(options.retry), lanes_(options.live_percent), breakers_(options.probes, seed) {}

bool InFlight::may_admit() const noexcept {
  return postponed_.size() + order_.waiting_unloaded() < kMaxPostponed &&
         postponed_.first_released() == nullptr;
}

void InFlight::admit(const Delivery& delivery, Steps& steps) {
  apply(order_.admit(delivery), steps);
}

bool InFlight::may_admit_live() const noexcept {
  return order_.may_admit_live() && (!breakers_.all_open() || live_ == 0);
}

void InFlight::admit_live(SpoolId id) {
  order_.admit_live(id);
  ++live_;
}

std::optional<Delivery> InFlight::take_solo(Time now) {
  if (solo_is_running_) {
    return std::nullopt;
  }
  std::optional<Delivery> solo;
  std::optional<Group> probed;
  const std::size_t refused_alone = postponed_.size_refused_alone();
  if (breakers_.all_open() || breakers_.is_in_doubt()) {
    // Those in memory go first; and one request at a time tells enough.
    const bool others_probe = breakers_.all_open() && lanes_.size() > 0;
    if (!others_probe && breakers_.may_probe(CircuitBreakers::kEverything, now)) {
      solo = postponed_.take_any();
      probed = CircuitBreakers::kEverything;
    }
  } else if (now >= solo_not_before_) {
    for (const CircuitBreakers::Open& each : breakers_.all_that_are_open()) {
      if (breakers_.may_probe(each.group, now)) {
        solo = postponed_.take_of(each.group);
        probed = each.group;
      }
      if (solo) {
        break;
      }
    }
    if (!solo) {
      solo = postponed_.take_due(now);
      probed.reset();
    }
  }
  if (!solo) {
    return std::nullopt;
  }
  solo->is_solo = true;
  if (probed) {
    solo->is_probe = true;
    breakers_.begin_probe(*probed, solo->id);
  }
  solo_is_running_ = true;
  solo_is_alone_ = postponed_.size_refused_alone() < refused_alone;
  solo_began_ = now;
  return solo;
}

std::optional<InFlight::Time> InFlight::next_solo_at() const {
  if (solo_is_running_ || postponed_.size_unreleased() == 0) {
    return std::nullopt;
  }
  if (breakers_.all_open() || breakers_.is_in_doubt()) {
    const bool others_probe = breakers_.all_open() && lanes_.size() > 0;
    return others_probe ? std::nullopt : breakers_.probe_at(CircuitBreakers::kEverything);
  }
  std::optional<Time> next = postponed_.next_due();
  for (const CircuitBreakers::Open& each : breakers_.all_that_are_open()) {
    const auto at =
        postponed_.size_of(each.group) > 0 ? breakers_.probe_at(each.group) : std::nullopt;
    if (at && (!next || *at < *next)) {
      next = at;
    }
  }
  return next ? std::optional(std::max(*next, solo_not_before_)) : next;
}

void InFlight::decoded(Delivery delivery, Steps& steps) {
  if (delivery.lane == Lane::live) {
    const std::vector<Group> groups = groups_of(delivery);
    const bool tells_more =
        breakers_.tells_more(CircuitBreakers::kEverything, breakers_.count_open(groups));
    const bool is_blocked = !tells_more && breakers_.narrowest_open(groups).has_value();
    if (!is_blocked && order_.claim_live(delivery.id, delivery.key_hash)) {
      enqueue(std::move(delivery), steps);
    } else {
      end_live(delivery, /*stored=*/false, steps);
    }
    return;
  }
  if (delivery.is_late && delivery.is_solo) {
    end_probe(delivery, steps);  // it may have to wait behind its key
    solo_is_running_ = false;
    steps.has_postponed = true;
    delivery.is_solo = delivery.is_probe = false;
  }
  apply(order_.decoded(std::move(delivery)), steps);
}

void InFlight::undecoded(Delivery delivery, Time now, Steps& steps) {
  if (!delivery.has_turn && !delivery.is_late) {
    delivery.is_late = true;
    apply(order_.dropped(delivery.id), steps);
  }
  postpone(delivery, now, steps);
}

void InFlight::gone(const Delivery& delivery, Time now, Steps& steps) {
  if (delivery.lane == Lane::live) {
    end_live(delivery, /*stored=*/false, steps);
    return;
  }
  removed(delivery, now, steps);
}

std::optional<Delivery> InFlight::next_upload(bool only_live, Time now) {
  std::optional<Delivery> next;
  if (!probes_.empty()) {
    next = std::move(probes_.front());
    probes_.pop_front();
  } else if (!breakers_.all_open()) {
    next = only_live ? lanes_.pop_live() : lanes_.pop();
  } else if (breakers_.may_probe(CircuitBreakers::kEverything, now)) {
    // The one that has least in common with those that were refused tells most.
    next = lanes_.pop_lowest([this](const Delivery& delivery) {
      return breakers_.count_open(groups_of(delivery)) +
             (delivery.history.refusals > 0 ? kRefusedBefore : 0);
    });
    if (next) {
      next->is_probe = true;
      breakers_.begin_probe(CircuitBreakers::kEverything, next->id);
    }
  }
  if (next) {
    next->begun_mark = breakers_.stored_count();
  }
  return next;
}

std::optional<InFlight::Time> InFlight::next_upload_at() const {
  return breakers_.all_open() && lanes_.size() > 0
             ? breakers_.probe_at(CircuitBreakers::kEverything)
             : std::nullopt;
}

std::optional<Delivery> InFlight::next_of_batch(Lane lane) {
  std::optional<Delivery> next = breakers_.all_open() ? std::nullopt : lanes_.pop_of(lane);
  if (next) {
    next->begun_mark = breakers_.stored_count();
  }
  return next;
}

RetryAction InFlight::ended(Delivery& delivery, const PutResult& result, Time now, Steps& steps) {
  ++delivery.history.attempts;
  RetryDecision decision;
  switch (result.outcome) {
    case PutOutcome::stored:
      note_stored(delivery, now, steps);
      decision.action = RetryAction::remove;
      break;
    case PutOutcome::stopped:
      return RetryAction::abandon;
    case PutOutcome::refused:
      decision = note_refused(delivery, result, now, steps);
      break;
  }
  end_probe(delivery, steps);
  delivery.is_probe = false;
  if (delivery.lane == Lane::dead_letter) {
    if (decision.action == RetryAction::retry_now) {
      enqueue(delivery, steps);
    }
    return decision.action;
  }
  if (delivery.lane == Lane::live) {
    end_live(delivery, result.outcome == PutOutcome::stored, steps);
    return RetryAction::abandon;
  }
  switch (decision.action) {
    case RetryAction::remove:
    case RetryAction::dead_letter:
    case RetryAction::abandon:
      break;
    case RetryAction::retry_now:
      enqueue(delivery, steps);
      break;
    case RetryAction::wait:
    case RetryAction::retry_later: {
      const auto group = breakers_.narrowest_open(groups_of(delivery));
      if (group) {
        wait_for(*group, delivery, steps);
      } else if (decision.action == RetryAction::wait && breakers_.all_open()) {
        wait_for(CircuitBreakers::kEverything, delivery, steps);
      } else {
        wait_until(now + decision.pause, delivery, steps);
      }
      end_solo(delivery, now, /*was_stored=*/false, steps);
      break;
    }
  }
  return decision.action;
}

void InFlight::batch_failed(std::vector<Delivery> batch, const PutResult& result, Time now,
                            Steps& steps) {
  if (result.is_unsent) {
    open(CircuitBreakers::kEverything, result, now, steps);
  }
  for (Delivery& delivery : batch) {
    ++delivery.history.attempts;
    if (delivery.lane == Lane::live) {
      end_live(delivery, /*stored=*/false, steps);
      continue;
    }
    // If it went out, it may be the batch, or one of it, and not the store: each alone will tell.
    delivery.goes_alone = !result.is_unsent;
    enqueue(std::move(delivery), steps);
  }
}

bool InFlight::begin_ask(Time now) {
  if (!breakers_.all_open()) {
    return true;
  }
  if (!breakers_.may_probe(CircuitBreakers::kEverything, now)) {
    return false;
  }
  breakers_.begin_probe(CircuitBreakers::kEverything, kQuestion);
  return true;
}

void InFlight::asked(const PutResult& result, Time now, Steps& steps) {
  breakers_.end_probe(kQuestion);
  steps.has_probed = true;
  if (result.outcome == PutOutcome::stored) {
    if (breakers_.answered()) {
      postponed_.release(CircuitBreakers::kEverything);
      steps.has_postponed = true;
      steps.closed.emplace_back(CircuitBreakers::kEverything);
    }
  } else if (result.outcome == PutOutcome::refused && result.scope != Scope::ambiguous &&
             result.scope != Scope::object) {
    open(CircuitBreakers::kEverything, result, now, steps);
  }
}

void InFlight::removed(const Delivery& delivery, Time now, Steps& steps) {
  leave_memory(delivery, steps);
  end_solo(delivery, now, /*was_stored=*/true, steps);
  end_probe(delivery, steps);
  if (!delivery.has_turn) {
    if (!delivery.is_late) {
      apply(order_.dropped(delivery.id), steps);
    }
    return;
  }
  std::optional<Delivery> next = order_.finished(delivery.key_hash);
  if (!next) {
    return;
  }
  if (next->object) {
    enqueue(*std::move(next), steps);
  } else {
    postponed_.release(*std::move(next));
    steps.has_postponed = true;
  }
}

void InFlight::removed_live(const Delivery& delivery, Steps& steps) {
  leave_memory(delivery, steps);
  apply(order_.removed_live(), steps);
}

void InFlight::postpone(const Delivery& delivery, Time now, Steps& steps) {
  wait_until(now + Backoff::ceiling(retry_.postponement, kRoundOfDisk), delivery, steps);
  end_solo(delivery, now, /*was_stored=*/false, steps);
  end_probe(delivery, steps);
}

void InFlight::add_dead_letter(Delivery delivery, Steps& steps) {
  push(std::move(delivery), steps);
}

std::optional<InFlight::Alone> InFlight::refused_alone() const {
  const std::size_t deliveries =
      postponed_.size_refused_alone() + (solo_is_running_ && solo_is_alone_ ? 1 : 0);
  return deliveries > 0 ? std::optional(Alone{deliveries, alone_cause_, alone_since_})
                        : std::nullopt;
}

std::optional<CircuitBreakers::Open> InFlight::refused_everything() const {
  const bool nothing_waits =
      postponed_.size() + lanes_.size() + probes_.size() == 0 && !solo_is_running_;
  if (nothing_waits && !breakers_.all_open()) {
    return std::nullopt;
  }
  return breakers_.everything();
}

std::string InFlight::state() const {
  const std::uint64_t stored_count = breakers_.stored_count();
  std::string probes;
  for (const Delivery& delivery : probes_) {
    probes += " " + delivery.state(stored_count);
  }
  const std::string search = searched_ < kSearchDepth ? "" : " searched";
  return fmt::format(
      "order: {}\nlanes: {}\nprobes:{}\nlive: {}\nsolo: {}\npostponed: {}\n"
      "breakers: {}{}",
      order_.state(stored_count), lanes_.state(stored_count), probes, live_, solo_is_running_,
      postponed_.state(stored_count), breakers_.state(), search);
}

std::vector<InFlight::Group> InFlight::groups_of(const Delivery& delivery) const {
  return breakers_.groups_of(delivery.object->key.str(), delivery.object->body.size());
}

void InFlight::apply(KeyOrder::Release release, Steps& steps) {
  steps.freed_bytes += release.freed_bytes;
  for (Delivery& delivery : release.ready) {
    enqueue(std::move(delivery), steps);
  }
  if (release.to_decode) {
    steps.to_decode.push_back(*std::move(release.to_decode));
  }
  if (release.stored_live) {
    steps.stored_live = std::move(release.stored_live);
  }
}

void InFlight::enqueue(Delivery delivery, Steps& steps) {
  if (delivery.is_probe) {
    probes_.push_back(std::move(delivery));
    ++steps.ready;
    steps.has_ready_live = true;  // uploaders of live ones take it as well
    return;
  }
  if (!breakers_.all_open() && !breakers_.has_open_groups()) {
    push(std::move(delivery), steps);  // nothing is refused: no group needs to be named
    return;
  }
  const std::vector<Group> groups = groups_of(delivery);
  if (breakers_.all_open()) {
    hurry_better_probe(CircuitBreakers::kEverything, groups, steps);
  }
  const auto group = delivery.lane == Lane::in_turn && may_search()
                         ? breakers_.narrowest_open(groups)
                         : std::nullopt;
  if (group) {
    end_solo(delivery, solo_began_, /*was_stored=*/false, steps);
    const bool is_untried = delivery.history.refusals == 0;
    wait_for(*group, std::move(delivery), steps);
    if (is_untried) {
      hurry_better_probe(*group, groups, steps);
    }
    return;
  }
  push(std::move(delivery), steps);
}

void InFlight::push(Delivery delivery, Steps& steps) {
  steps.has_ready_live = steps.has_ready_live || delivery.lane == Lane::live;
  ++steps.ready;
  lanes_.push(std::move(delivery));
}

void InFlight::hurry_better_probe(std::string_view group, const std::vector<Group>& groups,
                                  Steps& steps) {
  if (!breakers_.hurry_probe(group, breakers_.count_open(groups))) {
    return;
  }
  postponed_.prefer(group);
  steps.has_probed = true;
  steps.has_postponed = true;
}

bool InFlight::may_search() const noexcept {
  return breakers_.has_open_groups() &&
         (!breakers_.all_open() || breakers_.seeks_evidence() || searched_ < kSearchDepth);
}

void InFlight::wait_for(std::string_view group, Delivery delivery, Steps& steps) {
  searched_ += breakers_.all_open() ? 1 : 0;
  give_up_memory(delivery, steps);
  postponed_.wait_for(group, std::move(delivery));
}

void InFlight::wait_until(Time due, Delivery delivery, Steps& steps) {
  give_up_memory(delivery, steps);
  postponed_.wait_until(due, std::move(delivery));
}

void InFlight::give_up_memory(const Delivery& delivery, Steps& steps) {
  leave_memory(delivery, steps);
  if (delivery.has_turn) {
    steps.freed_bytes += order_.postponed(delivery.key_hash);
  }
  steps.has_postponed = true;
}

void InFlight::leave_memory(const Delivery& delivery, Steps& steps) {
  steps.freed_bytes += delivery.budget_bytes;
}

void InFlight::end_solo(const Delivery& delivery, Time now, bool was_stored, Steps& steps) {
  if (!delivery.is_solo) {
    return;
  }
  solo_is_running_ = false;
  steps.has_postponed = true;
  if (was_stored) {
    solo_not_before_ = {};
    return;
  }
  const auto rest = std::min<Time::duration>((now - solo_began_) * kSoloRest, kMaxSoloRest);
  solo_not_before_ = now + rest;
}

void InFlight::end_probe(const Delivery& delivery, Steps& steps) {
  if (!delivery.is_probe) {
    return;
  }
  breakers_.end_probe(delivery.id);
  // While it was under way, no other might go: neither uploaders nor the dispatcher wait for a
  // time.
  steps.has_probed = true;
  steps.has_postponed = true;
}

void InFlight::end_live(const Delivery& delivery, bool stored, Steps& steps) {
  --live_;
  steps.freed_live_bytes += delivery.budget_bytes;
  apply(order_.ended_live(delivery.id, stored), steps);
}

void InFlight::note_stored(const Delivery& delivery, Time now, Steps& steps) {
  const Object& object = *delivery.object;
  std::vector<Group> closed = breakers_.stored(object.key.str(), object.body.size(), now);
  if (delivery.history.refusals > 0) {
    postponed_.hurry_next(now);  // what it was refused for may be over for others as well
    steps.has_postponed = true;
  }
  if (closed.empty()) {
    return;
  }
  searched_ = 0;
  for (const Group& group : closed) {
    postponed_.release(group);
    steps.has_postponed = true;
  }
  unload_blocked(steps);
  steps.closed.insert(steps.closed.end(), closed.begin(), closed.end());
}

RetryDecision InFlight::note_refused(Delivery& delivery, const PutResult& result, Time now,
                                     Steps& steps) {
  const std::size_t bytes = delivery.object->body.size();
  breakers_.refused(CircuitBreakers::all_groups_of(delivery.object->key.str(), bytes), bytes,
                    delivery, result, now);
  const std::vector<Group> groups = groups_of(delivery);
  const Evidence evidence = breakers_.evidence(groups, delivery, now);
  RefusalHistory& history = delivery.history;
  if (history.refusals++ == 0) {
    history.first_refused_at = now;
  }
  history.own_refusals += evidence.others_stored_since ? 1 : 0;
  history.proven_refusals += evidence.peers_stored_since ? 1 : 0;
  history.stored_mark = breakers_.stored_count();
  RetryDecision decision = decide_retry(history, result, evidence, retry_, now);
  for (const std::size_t index : decision.opens) {
    open(groups[index], result, now, steps);
  }
  const std::size_t rank = breakers_.count_open(groups);
  for (const Group& group : groups) {
    if (breakers_.is_open(group)) {
      breakers_.note_rank(group, rank);
    }
  }
  if (decision.action == RetryAction::retry_later) {
    if (postponed_.size_refused_alone() == 0) {
      alone_since_ = history.first_refused_at;
    }
    alone_cause_ = result;
  }
  return decision;
}

void InFlight::open(std::string_view group, const PutResult& cause, Time now, Steps& steps) {
  if (!breakers_.open(group, cause, cause.retry_after, now)) {
    return;
  }
  steps.opened.emplace_back(group);
  unload_blocked(steps);
}

/// Those that wait in memory for a group that is open leave it.
void InFlight::unload_blocked(Steps& steps) {
  if (!may_search()) {
    return;
  }
  std::vector<Delivery> blocked = lanes_.remove_if([this](const Delivery& delivery) {
    return delivery.lane == Lane::in_turn && breakers_.narrowest_open(groups_of(delivery));
  });
  for (Delivery& delivery : blocked) {
    enqueue(std::move(delivery), steps);
  }
}

}  // namespace m2b
