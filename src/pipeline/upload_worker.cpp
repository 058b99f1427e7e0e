#include "pipeline/upload_worker.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

#include "m2b/util/fail_point.hpp"
#include "m2b/util/log.hpp"

namespace m2b {
namespace {

/// So often an object may fail, with others stored in between, before it is taken to be at fault.
constexpr int kMaxOwnFailures = 3;
/// And so often before a refusal that we do not know is believed: that takes three more rounds,
/// some fifteen seconds, so that a store, or a gateway before it, may stumble for longer than a
/// moment.
constexpr int kFinalOwnFailures = 6;
/// Attempts of one that comes round again, until its turn is over: the others that wait for theirs
/// would never have it.
constexpr int kMaxAttemptsInTurn = 3;

constexpr std::size_t kBatchBytes = std::size_t{2} << 20;

Rejection rejection_of(const PutResult& result) {
  return {DeadLetterReason::rejected_by_store, result.code + ": " + result.detail};
}

}  // namespace

void UploadWorker::prepare_bucket() {
  while (flow_.gate().state() != StoreState::reachable) {
    const auto pass = flow_.gate().enter(stop_.begin_nothing);
    if (!pass) {
      return;
    }
    const PutResult result = store_->ensure_bucket(stop_.abort);
    flow_.gate().report(*pass, result);
    if (result.outcome != PutOutcome::retry_later) {
      return;  // it is there, or the first upload will tell: some credentials may only write
               // objects
    }
  }
}

void UploadWorker::run() {
  while (slots_.take(stop_.begin_nothing)) {
    const auto ended = upload_next(flow_.upload_queue().pop());
    slots_.give_back(ended.value_or(ConcurrencyLimit::Ended{}));
    if (!ended) {
      return;
    }
  }
}

void UploadWorker::run_early() {
  while (upload_next(flow_.upload_queue().pop_early())) {
  }
}

std::optional<ConcurrencyLimit::Ended> UploadWorker::upload_next(std::optional<UploadJob> job) {
  const auto pass = job ? flow_.gate().enter(stop_.begin_nothing) : std::nullopt;
  if (!pass) {
    return std::nullopt;
  }
  if (pass->probe || !fits_batch(*job)) {
    return upload(*std::move(job), *pass);
  }
  Batch batch = fill_batch(*std::move(job));
  ConcurrencyLimit::Ended ended = batch.jobs.size() == 1
                                      ? upload(std::move(batch.jobs.front()), *pass)
                                      : upload(std::move(batch.jobs), *pass);
  if (batch.does_not_fit) {
    const auto next_pass = flow_.gate().enter(stop_.begin_nothing);
    if (!next_pass) {
      return std::nullopt;
    }
    const ConcurrencyLimit::Ended alone = upload(*std::move(batch.does_not_fit), *next_pass);
    ended.objects += alone.objects;
    ended.bytes += alone.bytes;
    ended.failed = ended.failed || alone.failed;
  }
  return ended;
}

ConcurrencyLimit::Ended UploadWorker::upload(UploadJob job, const StoreGate::Pass& pass) {
  ++job.tries;
  const PutResult result = put(job);
  // One that came round again has failed for reasons of its own before: unless it was the probe,
  // its next failure says nothing about the store.
  const bool tells_of_store =
      pass.probe || job.postponements == 0 || result.outcome == PutOutcome::stored;
  if (tells_of_store) {
    flow_.gate().report(pass, result);
  }
  flow_.stats().count_upload(result.outcome);
  const ConcurrencyLimit::Ended ended{
      .bytes = job.object->body.size(),
      .failed = tells_of_store && result.outcome == PutOutcome::retry_later,
      .others_wait = flow_.upload_queue().size() > 0};
  settle(std::move(job), result, pass);
  return ended;
}

bool UploadWorker::fits_batch(const UploadJob& job) const {
  return may_batch_ && !job.alone && job.postponements == 0 && store_->takes_batches() &&
         store_->fits_batch(*job.object);
}

UploadWorker::Batch UploadWorker::fill_batch(UploadJob first) {
  UploadQueue& queue = flow_.upload_queue();
  // Among many others an early one would be late; and the sooner all early ones are under way, the
  // better.
  const bool early = first.early;
  const std::size_t share = early ? queue.size(early) + 1 : queue.size(early) / slots_.count() + 1;
  const std::size_t most = std::min(share, batch_size_.most(std::chrono::steady_clock::now()));
  Batch batch;
  std::size_t bytes = first.object->body.size();
  batch.jobs.push_back(std::move(first));
  if (most < BatchSize::kLeast) {
    return batch;
  }
  while (batch.jobs.size() < most && bytes < kBatchBytes) {
    auto job = queue.try_pop(early);
    if (!job) {
      break;
    }
    if (!fits_batch(*job)) {
      batch.does_not_fit = std::move(job);
      break;
    }
    bytes += job->object->body.size();
    batch.jobs.push_back(*std::move(job));
  }
  return batch;
}

ConcurrencyLimit::Ended UploadWorker::upload(std::vector<UploadJob> batch,
                                             const StoreGate::Pass& pass) {
  const auto started = std::chrono::steady_clock::now();
  ConcurrencyLimit::Ended ended{.objects = batch.size()};
  std::vector<const Object*> objects;
  for (const UploadJob& job : batch) {
    objects.push_back(job.object.get());
    ended.bytes += job.object->body.size();
  }
  fail_point("upload.before_put");
  const PutResult result = store_->put_batch(objects, stop_.abort);
  ended.others_wait = flow_.upload_queue().size() > 0;
  ended.failed = result.outcome == PutOutcome::retry_later;
  if (result.outcome == PutOutcome::stored) {
    fail_point("upload.after_put");
    batch_size_.succeeded();
    flow_.stats().stored_in_batches.fetch_add(batch.size(), std::memory_order_relaxed);
    flow_.gate().report(pass, result);
    for (UploadJob& job : batch) {
      ++job.tries;
      flow_.stats().count_upload(result.outcome);
      count_stored(job, std::chrono::steady_clock::now() - started, batch.size());
      flow_.stored(job);
    }
    return ended;
  }
  if (result.outcome != PutOutcome::stopped) {
    // If it went out, it may be the batch, or one of it, and not the store: each alone will tell.
    const bool may_be_at_fault = !result.is_unsent;
    if (may_be_at_fault) {
      batch_size_.failed(std::chrono::steady_clock::now());
    } else {
      flow_.gate().report(pass, result);
    }
    flow_.stats().count_retry(result.code);
    for (UploadJob& job : batch) {
      ++job.tries;
      trace_failure(job, result);
      if (job.early) {
        flow_.leave_to_its_turn(job);
        continue;
      }
      job.alone = may_be_at_fault;
      flow_.try_again(std::move(job));
    }
  }
  return ended;
}

void UploadWorker::settle(UploadJob job, const PutResult& result, const StoreGate::Pass& pass) {
  const bool failed = result.outcome != PutOutcome::stored && result.outcome != PutOutcome::stopped;
  if (failed) {
    trace_failure(job, result);
  }
  if (job.early && failed) {
    flow_.leave_to_its_turn(job);
    return;
  }
  switch (result.outcome) {
    case PutOutcome::stored:
      flow_.stored(job);
      return;
    case PutOutcome::rejected:
      flow_.rejected(job, rejection_of(result));
      return;
    case PutOutcome::stopped:
      return;
    case PutOutcome::retry_later:
    case PutOutcome::hold:
    case PutOutcome::doubtful:
      flow_.stats().count_retry(result.code);
      job.failures.add(pass.stored);
      ++job.attempts;
      retry(std::move(job), result);
      return;
  }
}

void UploadWorker::retry(UploadJob job, const PutResult& result) {
  const int failures = job.failures.count();
  if (failures >= kFinalOwnFailures && result.outcome == PutOutcome::doubtful) {
    flow_.rejected(job, rejection_of(result));
    return;
  }
  const bool at_fault = failures >= kMaxOwnFailures;
  const bool turn_is_over = job.postponements > 0 && job.attempts >= kMaxAttemptsInTurn;
  if (!at_fault && !turn_is_over) {
    flow_.try_again(std::move(job));
    return;
  }
  log::debug("upload", "object is tried again later",
             {{"id", to_number(job.id)}, {"key", job.object->key.str()}, {"code", result.code}});
  flow_.postpone(job);
}

PutResult UploadWorker::put(const UploadJob& job) {
  const auto started = std::chrono::steady_clock::now();
  fail_point("upload.before_put");
  PutResult result = store_->put(*job.object, stop_.abort);
  if (result.outcome == PutOutcome::stored) {
    fail_point("upload.after_put");
    count_stored(job, std::chrono::steady_clock::now() - started, 1);
  }
  return result;
}

void UploadWorker::trace_failure(const UploadJob& job, const PutResult& result) {
  log::debug("upload", "attempt failed",
             {{"id", to_number(job.id)},
              {"key", job.object->key.str()},
              {"attempts", job.tries},
              {"early", job.early},
              {"code", result.code},
              {"status", result.http_status}});
}

void UploadWorker::count_stored(const UploadJob& job, std::chrono::steady_clock::duration took,
                                std::size_t together) {
  flow_.stats().upload_time.observe(took);
  flow_.stats().stored_at.store(wall_now(), std::memory_order_relaxed);
  flow_.stats().uploaded_bytes.fetch_add(job.object->body.size(), std::memory_order_relaxed);
  flow_.show_stored(*job.object);
  log::debug("upload", "stored",
             {{"id", to_number(job.id)},
              {"key", job.object->key.str()},
              {"bytes", job.object->body.size()},
              {"attempts", job.tries},
              {"early", job.early},
              {"together", together},
              {"milliseconds", std::chrono::duration<double, std::milli>(took).count()}});
}

}  // namespace m2b
