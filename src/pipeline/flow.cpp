#include "pipeline/flow.hpp"

#include <cassert>
#include <utility>

#include "m2b/util/log.hpp"

namespace m2b {
namespace {

/// What a record in flight takes besides its payload; bounds the number of tiny ones.
constexpr std::size_t kRecordOverheadBytes = 2048;
/// Of what may be in flight; comes on top of it.
constexpr std::size_t kEarlyPart = 4;
/// With so much waiting for an uploader, what comes in would be late at its turn.
constexpr std::size_t kBackedUpPart = 16;
/// Some hundred bytes each: their id and place in line.
constexpr std::size_t kMaxParked = 100'000;

DecodeJob round_again(const UploadJob& job) {
  return {job.id, job.record_bytes, 0, job.postponements, job.failures, job.tries};
}

}  // namespace

Flow::Flow(const PipelineOptions& options, Spool& spool)
    : spool_(spool),
      budget_(options.in_flight_bytes),
      early_budget_(options.in_flight_bytes / kEarlyPart),
      // A slot for everything that the budgets admit, and for the one outside of them: a decoder
      // that hands on the next record must never wait for itself.
      decode_queue_((options.in_flight_bytes + options.in_flight_bytes / kEarlyPart) /
                        kRecordOverheadBytes +
                    3),
      upload_queue_(options.early_percent),
      backed_up_bytes_(options.in_flight_bytes / kBackedUpPart),
      gate_(options.backoff) {}

bool Flow::admit(const SpoolEntry& entry) {
  const std::size_t budget_bytes = entry.bytes + kRecordOverheadBytes;
  KeyOrder::Release release;
  {
    const std::lock_guard lock(mutex_);
    if (order_.parked() >= kMaxParked || !budget_.try_acquire(budget_bytes)) {
      return false;
    }
    release = order_.admit({entry.id, entry.bytes, budget_bytes});
  }
  proceed(std::move(release));
  return true;
}

bool Flow::may_admit_early() {
  return gate_.state() == StoreState::reachable && !early_budget_.is_used_up();
}

bool Flow::admit_early(const SpoolEntry& entry) {
  const std::size_t budget_bytes = entry.bytes + kRecordOverheadBytes;
  {
    const std::lock_guard lock(mutex_);
    if (!order_.may_admit_early() || !early_budget_.try_acquire(budget_bytes)) {
      return false;
    }
    order_.admit_early(entry.id);
  }
  DecodeJob job{entry.id, entry.bytes, budget_bytes};
  job.early = true;
  static_cast<void>(decode_queue_.push(job));
  return true;
}

void Flow::readmit(DecodeJob job) {
  readmitted_ = true;
  static_cast<void>(decode_queue_.push(job));
}

void Flow::decoded(const DecodeJob& job, std::unique_ptr<Object> object) {
  UploadJob upload;
  upload.id = job.id;
  upload.record_bytes = job.record_bytes;
  upload.budget_bytes = job.budget_bytes;
  upload.postponements = job.postponements;
  upload.failures = job.failures;
  upload.tries = job.tries;
  upload.early = job.early;
  upload.object = std::move(object);
  KeyOrder::Release release;
  if (job.early) {
    bool may_go = false;
    {
      const std::lock_guard lock(mutex_);
      may_go = order_.claim_early(job.id, upload.object->key);
    }
    if (may_go) {
      upload_queue_.push(std::move(upload));
    } else {
      leave_to_its_turn(upload);
    }
    return;
  }
  {
    const std::lock_guard lock(mutex_);
    release = order_.decoded(std::move(upload));
  }
  proceed(std::move(release));
}

void Flow::vanished(const DecodeJob& job) {
  if (job.early) {
    end_early(job.id, job.budget_bytes, /*stored=*/false);
    return;
  }
  if (job.postponements > 0) {
    finish(job.id, job.budget_bytes, job.postponements);
    return;
  }
  KeyOrder::Release release;
  {
    const std::lock_guard lock(mutex_);
    release = order_.dropped(job.id);
  }
  leave(job.budget_bytes, job.postponements);
  proceed(std::move(release));
}

void Flow::undecodable(const DecodeJob& job, std::string_view topic, const Rejection& rejection) {
  if (job.early) {
    end_early(job.id, job.budget_bytes, /*stored=*/false);
    return;
  }
  const Burial burial = bury(job.id, "topic", topic, rejection);
  if (burial == Burial::stopped) {
    return;
  }
  if (burial == Burial::not_now) {
    feeder_.on_postponed({job.id, job.record_bytes, 0, job.postponements, job.failures});
    if (job.postponements > 0) {
      leave(job.budget_bytes, job.postponements);
      return;
    }
  }
  vanished(job);  // it has no key, so nobody waits behind it
}

void Flow::stored(const UploadJob& job) {
  if (job.early) {
    stats_.stored_early.fetch_add(1, std::memory_order_relaxed);
    end_early(job.id, job.budget_bytes, /*stored=*/true);
    return;
  }
  // The removal is queued before the next object of the key goes: removals are committed in this
  // order, so after a crash the later one is never gone while the earlier one is offered again.
  if (spool_.remove_stored(job.id, closed_.get_token())) {
    finish(job.id, job.budget_bytes, job.postponements);
  }
}

void Flow::leave_to_its_turn(const UploadJob& job) {
  assert(job.early);
  end_early(job.id, job.budget_bytes, /*stored=*/false);
}

void Flow::rejected(const UploadJob& job, const Rejection& rejection) {
  switch (bury(job.id, "key", job.object->key.str(), rejection)) {
    case Burial::done:
      finish(job.id, job.budget_bytes, job.postponements);
      break;
    case Burial::not_now:
      postpone(job);
      break;
    case Burial::stopped:
      break;
  }
}

void Flow::try_again(UploadJob job) { upload_queue_.push(std::move(job)); }

void Flow::postpone(const UploadJob& job) {
  std::size_t freed_bytes = job.budget_bytes;
  {
    const std::lock_guard lock(mutex_);
    freed_bytes += order_.postponed(job.id);
  }
  feeder_.on_postponed(round_again(job));
  leave(freed_bytes, job.postponements);
}

void Flow::close() noexcept {
  closed_.request_stop();
  decode_queue_.close();
  upload_queue_.close();
}

void Flow::proceed(KeyOrder::Release release) {
  for (;;) {
    if (release.freed_bytes > 0) {
      leave(release.freed_bytes, 0);
    }
    for (UploadJob& job : release.ready) {
      upload_queue_.push(std::move(job));
    }
    if (release.to_decode) {
      static_cast<void>(decode_queue_.push(*release.to_decode));
    }
    if (!release.stored_early) {
      return;
    }
    // As in stored(): nothing of its key, and nothing that came after it, goes before that.
    const DecodeJob removed = *release.stored_early;
    if (!spool_.remove_stored(removed.id, closed_.get_token())) {
      return;
    }
    {
      const std::lock_guard lock(mutex_);
      release = order_.removed_early();
    }
    leave(removed.budget_bytes, 0);
  }
}

void Flow::end_early(SpoolId id, std::size_t budget_bytes, bool stored) {
  KeyOrder::Release release;
  {
    const std::lock_guard lock(mutex_);
    release = order_.ended_early(id, stored);
  }
  if (early_budget_.release(budget_bytes)) {
    feeder_.on_room();
  }
  proceed(std::move(release));
}

void Flow::finish(SpoolId id, std::size_t budget_bytes, std::uint32_t postponements) {
  std::optional<UploadJob> next;
  {
    const std::lock_guard lock(mutex_);
    next = order_.finished(id);
  }
  leave(budget_bytes, postponements);
  if (!next) {
    return;
  }
  if (next->object) {
    upload_queue_.push(std::move(*next));
  } else {
    feeder_.on_parked(round_again(*next));
  }
}

void Flow::leave(std::size_t budget_bytes, std::uint32_t postponements) {
  bool has_news = budget_.release(budget_bytes);
  if (postponements > 0) {
    readmitted_ = false;
    has_news = true;
  }
  if (has_news) {
    feeder_.on_room();
  }
}

Burial Flow::bury(SpoolId id, std::string_view name, std::string_view value,
                  const Rejection& rejection) {
  const Burial burial = spool_.bury(id, rejection, closed_.get_token());
  if (burial != Burial::done) {
    return burial;
  }
  stats_.count_dead_letter(rejection.reason);
  if (on_buried_) {
    on_buried_();
  }
  const std::string_view reason = to_string(rejection.reason);
  const auto held_back = dead_letter_lines_.admit(reason);
  const log::Level level = held_back ? log::Level::warning : log::Level::debug;
  log::write(level, "pipeline", "message goes to the dead letters",
             {{"id", to_number(id)},
              {name, value},
              {"reason", reason},
              {"detail", rejection.detail},
              {"repeated", held_back.value_or(0)}});
  return burial;
}

}  // namespace m2b
