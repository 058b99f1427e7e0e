#include "pipeline/flow.hpp"

#include <algorithm>
#include <utility>

#include "m2b/util/log.hpp"

namespace m2b {
namespace {

/// What a record in flight takes besides its payload; bounds the number of tiny ones.
constexpr std::size_t kRecordOverheadBytes = 2048;
/// Of what may be in flight; comes on top of it.
constexpr std::size_t kLivePart = 4;
/// With so much waiting for an uploader, what comes in would be late at its turn.
constexpr std::size_t kBackedUpPart = 16;

Rejection rejection_of(const PutResult& result) {
  return {DeadLetterReason::rejected_by_store, result.code + ": " + result.detail};
}

/// As the log names the group.
log::Field field_of(const InFlight::Group& group) {
  if (group == CircuitBreakers::kEverything) {
    return {"group", "everything"};
  }
  return CircuitBreakers::size_bits_of(group) != 0
             ? log::Field{"bytes_below", std::uint64_t{1} << CircuitBreakers::size_bits_of(group)}
             : log::Field{"prefix", std::string_view(group).substr(1)};
}

bool is_live(const Delivery& delivery) { return delivery.lane == Lane::live; }

}  // namespace

Flow::Flow(const PipelineOptions& options, Spool& spool)
    : spool_(spool),
      budget_(options.in_flight_bytes),
      live_budget_(options.in_flight_bytes / kLivePart),
      // A slot for everything that the budgets admit, and for the one outside of them: a decoder
      // that hands on the next record must never wait for itself.
      decode_queue_((options.in_flight_bytes + options.in_flight_bytes / kLivePart) /
                        kRecordOverheadBytes +
                    3),
      backed_up_bytes_(options.in_flight_bytes / kBackedUpPart),
      in_flight_({.live_percent = options.live_percent,
                  .probes = options.backoff,
                  .retry = {.postponement = options.postponement,
                            .dead_letter_after = options.dead_letter_after}}) {}

template <typename Change>
InFlight::Steps Flow::steps_of(const Change& change) {
  Steps steps;
  const std::lock_guard lock(mutex_);
  change(steps);
  return steps;
}

bool Flow::admit(const SpoolEntry& entry) {
  const Delivery delivery{.id = entry.id,
                          .record_bytes = entry.bytes,
                          .budget_bytes = entry.bytes + kRecordOverheadBytes};
  Steps steps;
  {
    const std::lock_guard lock(mutex_);
    if (!in_flight_.may_admit() || !budget_.try_acquire(delivery.budget_bytes)) {
      return false;
    }
    in_flight_.admit(delivery, steps);
  }
  carry_out(std::move(steps));
  return true;
}

bool Flow::may_admit_live() {
  const std::lock_guard lock(mutex_);
  return in_flight_.may_admit_live() && !live_budget_.is_used_up();
}

bool Flow::admit_live(const SpoolEntry& entry) {
  Delivery delivery{.id = entry.id,
                    .record_bytes = entry.bytes,
                    .budget_bytes = entry.bytes + kRecordOverheadBytes,
                    .lane = Lane::live};
  {
    const std::lock_guard lock(mutex_);
    if (!in_flight_.may_admit_live() || !live_budget_.try_acquire(delivery.budget_bytes)) {
      return false;
    }
    in_flight_.admit_live(entry.id);
  }
  static_cast<void>(decode_queue_.push(std::move(delivery)));
  return true;
}

bool Flow::is_backed_up() const {
  const std::lock_guard lock(mutex_);
  return in_flight_.lanes().bytes_in_turn() > backed_up_bytes_;
}

std::optional<Flow::Clock::time_point> Flow::requeue() {
  std::vector<Delivery> to_decode;
  std::optional<Clock::time_point> again_at;
  {
    const std::lock_guard lock(mutex_);
    while (const Delivery* const first = in_flight_.first_released()) {
      const std::size_t bytes = first->record_bytes + kRecordOverheadBytes;
      if (!budget_.try_acquire(bytes)) {
        break;
      }
      to_decode.push_back(*in_flight_.take_released());
      to_decode.back().budget_bytes = bytes;
    }
    if (auto solo = in_flight_.take_solo(Clock::now())) {
      to_decode.push_back(*std::move(solo));
    }
    again_at = in_flight_.next_solo_at();
  }
  for (Delivery& delivery : to_decode) {
    static_cast<void>(decode_queue_.push(std::move(delivery)));
  }
  return again_at;
}

void Flow::decoded(Delivery delivery, std::shared_ptr<const Object> object) {
  delivery.set_object(std::move(object));
  carry_out(steps_of([&](Steps& steps) { in_flight_.decoded(std::move(delivery), steps); }));
}

void Flow::gone(const Delivery& delivery) {
  carry_out(steps_of([&](Steps& steps) { in_flight_.gone(delivery, Clock::now(), steps); }));
}

void Flow::undecodable(const Delivery& delivery, std::string_view topic,
                       const Rejection& rejection) {
  if (is_live(delivery)) {
    gone(delivery);  // its turn will come
    return;
  }
  to_dead_letters(delivery, "topic", topic, rejection);
}

std::optional<Delivery> Flow::next_upload(bool only_live) {
  std::unique_lock lock(mutex_);
  std::condition_variable& ready = only_live ? live_ready_ : upload_ready_;
  while (!is_closed_) {
    if (auto next = in_flight_.next_upload(only_live, Clock::now())) {
      if (next->lane != Lane::live && in_flight_.lanes().live_may_go()) {
        live_ready_.notify_one();  // the share of the others is paid
      }
      return next;
    }
    ready.wait_until(lock, in_flight_.next_upload_at().value_or(Clock::time_point::max()));
  }
  return std::nullopt;
}

std::optional<Delivery> Flow::next_of_batch(Lane lane) {
  const std::lock_guard lock(mutex_);
  return is_closed_ ? std::nullopt : in_flight_.next_of_batch(lane);
}

std::size_t Flow::waiting() const {
  const std::lock_guard lock(mutex_);
  return in_flight_.lanes().size();
}

std::size_t Flow::waiting(Lane lane) const {
  const std::lock_guard lock(mutex_);
  return in_flight_.lanes().size_of(lane);
}

void Flow::ended(Delivery delivery, const PutResult& result) {
  if (result.outcome == PutOutcome::stored) {
    if (is_live(delivery)) {
      stats_.stored_live.fetch_add(1, std::memory_order_relaxed);
    }
    if (on_stored_ && delivery.lane != Lane::dead_letter) {
      on_stored_(*delivery.object);
    }
  }
  RetryAction action{};
  Steps steps = steps_of([&](Steps& next) {
    action = in_flight_.ended(delivery, result, Clock::now(), next);
    note_answer(result);
    if (delivery.lane == Lane::dead_letter && action != RetryAction::retry_now) {
      dead_letter_action_ = action;
      dead_letter_ended_.notify_all();
    }
  });
  log_refusal(delivery, result, action);
  carry_out(std::move(steps));
  if (delivery.lane != Lane::in_turn) {
    return;
  }
  // The removal is queued before the next object of the key goes: removals are committed in this
  // order, so after a crash the later one is never gone while the earlier one is offered again.
  if (action == RetryAction::remove && spool_.remove_stored(delivery.id, closed_.get_token())) {
    finish(delivery);
  } else if (action == RetryAction::dead_letter) {
    to_dead_letters(delivery, "key", delivery.object->key.str(), rejection_of(result));
  }
}

void Flow::batch_failed(std::vector<Delivery> batch, const PutResult& result) {
  carry_out(steps_of([&](Steps& steps) {
    in_flight_.batch_failed(std::move(batch), result, Clock::now(), steps);
  }));
}

bool Flow::wait_to_ask() {
  std::unique_lock lock(mutex_);
  while (!is_closed_ && !has_answered_) {
    if (in_flight_.begin_ask(Clock::now())) {
      return true;
    }
    breakers_changed_.wait_until(lock, in_flight_.breakers()
                                           .probe_at(CircuitBreakers::kEverything)
                                           .value_or(Clock::time_point::max()));
  }
  return false;
}

void Flow::asked(const PutResult& result) {
  carry_out(steps_of([&](Steps& steps) {
    in_flight_.asked(result, Clock::now(), steps);
    note_answer(result);
  }));
}

RetryAction Flow::upload_dead_letter(SpoolId id, std::shared_ptr<const Object> object) {
  Delivery delivery{.id = id, .lane = Lane::dead_letter};
  delivery.set_object(std::move(object));
  Steps steps;
  std::unique_lock lock(mutex_);
  dead_letter_action_.reset();
  in_flight_.add_dead_letter(std::move(delivery), steps);
  upload_ready_.notify_one();
  dead_letter_ended_.wait(lock, [this] { return is_closed_ || dead_letter_action_; });
  return dead_letter_action_.value_or(RetryAction::abandon);
}

void Flow::close() noexcept {
  closed_.request_stop();
  decode_queue_.close();
  const std::lock_guard lock(mutex_);
  is_closed_ = true;
  upload_ready_.notify_all();
  live_ready_.notify_all();
  breakers_changed_.notify_all();
  dead_letter_ended_.notify_all();
}

StoreState Flow::store_state() const {
  const std::lock_guard lock(mutex_);
  const auto everything = in_flight_.refused_everything();
  if (everything) {
    return everything->cause.needs_person ? StoreState::blocked : StoreState::away;
  }
  return has_answered_ ? StoreState::reachable : StoreState::unknown;
}

std::optional<StoreTrouble> Flow::store_trouble() const {
  const std::lock_guard lock(mutex_);
  const auto everything = in_flight_.refused_everything();
  return everything ? std::optional(StoreTrouble{everything->cause, everything->since})
                    : std::nullopt;
}

std::vector<Refusal> Flow::refusals() const {
  const std::lock_guard lock(mutex_);
  std::vector<Refusal> refusals;
  for (const CircuitBreakers::Open& open : in_flight_.breakers().all_that_are_open()) {
    const std::size_t messages =
        in_flight_.postponed().size_of(open.group) + (open.is_probing ? 1 : 0);
    if (messages > 0) {
      Refusal refusal{.messages = messages, .cause = open.cause, .since = open.since};
      if (const unsigned bits = CircuitBreakers::size_bits_of(open.group); bits != 0) {
        refusal.of = Refusal::Of::size;
        refusal.from_bytes =
            bits == CircuitBreakers::kLeastSizeBits ? 0 : std::uint64_t{1} << (bits - 1);
        refusal.below_bytes = std::uint64_t{1} << bits;
      } else {
        refusal.of = Refusal::Of::prefix;
        refusal.prefix = open.group.substr(1);
      }
      refusals.push_back(std::move(refusal));
    }
  }
  if (const auto alone = in_flight_.refused_alone()) {
    refusals.push_back({.of = Refusal::Of::alone,
                        .messages = alone->deliveries,
                        .cause = alone->cause,
                        .since = alone->since});
  }
  return refusals;
}

void Flow::note_answer(const PutResult& result) {
  if (result.outcome == PutOutcome::stored && !std::exchange(has_answered_, true)) {
    log::info("upload", "store takes objects");
  }
}

void Flow::carry_out(Steps steps) {
  for (;;) {
    tell(steps);
    for (Delivery& delivery : steps.to_decode) {
      static_cast<void>(decode_queue_.push(std::move(delivery)));
    }
    // As in ended(): nothing of its key, and nothing that came after it, goes before that.
    if (!steps.stored_live || !spool_.remove_stored(steps.stored_live->id, closed_.get_token())) {
      return;
    }
    steps = steps_of([&](Steps& next) { in_flight_.removed_live(*steps.stored_live, next); });
  }
}

void Flow::tell(const Steps& steps) {
  log_breakers(steps);
  bool has_changed = steps.has_probed || !steps.opened.empty() || !steps.closed.empty();
  if (has_changed) {
    upload_ready_.notify_all();
    live_ready_.notify_all();
    breakers_changed_.notify_all();
  } else if (steps.ready > 0) {
    for (std::size_t i = 0; i < steps.ready; ++i) {
      upload_ready_.notify_one();
    }
    if (steps.has_ready_live) {
      live_ready_.notify_one();
    }
  }
  if (steps.freed_bytes > 0) {
    has_changed = budget_.release(steps.freed_bytes) || has_changed;
  }
  if (steps.freed_live_bytes > 0) {
    has_changed = live_budget_.release(steps.freed_live_bytes) || has_changed;
  }
  if (has_changed || steps.has_postponed) {
    on_change_();
  }
}

void Flow::finish(const Delivery& delivery) {
  carry_out(steps_of([&](Steps& steps) { in_flight_.removed(delivery, Clock::now(), steps); }));
}

void Flow::to_dead_letters(const Delivery& delivery, std::string_view name, std::string_view value,
                           const Rejection& rejection) {
  switch (spool_.bury(delivery.id, rejection, closed_.get_token())) {
    case Burial::stopped:
      return;
    case Burial::not_now:
      carry_out(
          steps_of([&](Steps& steps) { in_flight_.undecoded(delivery, Clock::now(), steps); }));
      return;
    case Burial::done:
      break;
  }
  stats_.count_dead_letter(rejection.reason);
  if (on_dead_letter_) {
    on_dead_letter_();
  }
  const std::string_view reason = to_string(rejection.reason);
  const auto held_back = dead_letter_lines_.admit(reason);
  const log::Level level = held_back ? log::Level::warning : log::Level::debug;
  log::write(level, "pipeline", "message goes to the dead letters",
             {{"id", to_number(delivery.id)},
              {name, value},
              {"reason", reason},
              {"detail", rejection.detail},
              {"repeated", held_back.value_or(0)}});
  finish(delivery);
}

void Flow::log_refusal(const Delivery& delivery, const PutResult& result, RetryAction action) {
  if (result.outcome != PutOutcome::refused) {
    return;
  }
  const bool is_postponed = action == RetryAction::wait || action == RetryAction::retry_later;
  const auto held_back = is_postponed ? refusal_lines_.admit(result.code) : std::nullopt;
  log::write(held_back ? log::Level::warning : log::Level::debug, "upload",
             is_postponed ? "object is refused; it is tried again later" : "attempt failed",
             {{"id", to_number(delivery.id)},
              {"key", delivery.object->key.str()},
              {"attempts", delivery.history.attempts},
              {"live", is_live(delivery)},
              {"code", result.code},
              {"scope", to_string(result.scope)},
              {"status", result.http_status},
              {"detail", result.detail},
              {"repeated", held_back.value_or(0)}});
}

void Flow::log_breakers(const Steps& steps) {
  if (steps.opened.empty() && steps.closed.empty()) {
    return;
  }
  const auto describe = [this](const InFlight::Group& group) {
    const std::lock_guard lock(mutex_);
    return in_flight_.breakers().describe(group);
  };
  for (const InFlight::Group& group : steps.opened) {
    const CircuitBreakers::Open open = describe(group);
    const auto held_back = breaker_lines_.admit(group + open.cause.code);
    if (!held_back) {
      continue;
    }
    const bool is_everything = group == CircuitBreakers::kEverything;
    const bool needs_person = open.cause.needs_person;
    log::write(needs_person ? log::Level::error : log::Level::warning, "upload",
               !is_everything ? "a group of objects is refused; others go on"
               : needs_person ? "store refuses us; everything is kept in the spool until this is "
                                "mended"
                              : "store is away or busy; everything is kept in the spool",
               {field_of(group),
                {"code", open.cause.code},
                {"scope", to_string(open.cause.scope)},
                {"status", open.cause.http_status},
                {"detail", open.cause.detail},
                {"repeated", *held_back}});
  }
  for (const InFlight::Group& group : steps.closed) {
    const auto held_back = breaker_lines_.admit("closed" + group);
    if (!held_back) {
      continue;
    }
    const CircuitBreakers::Open open = describe(group);
    const bool is_everything = group == CircuitBreakers::kEverything;
    log::info("upload",
              is_everything ? "store takes objects again" : "a group of objects is taken again",
              {field_of(group),
               {"after_seconds", std::chrono::duration<double>(Clock::now() - open.since).count()},
               {"repeated", *held_back}});
  }
}

}  // namespace m2b
