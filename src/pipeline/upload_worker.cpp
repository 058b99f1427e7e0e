#include "pipeline/upload_worker.hpp"

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
    const auto ended = upload_next();
    slots_.give_back(ended.value_or(ConcurrencyLimit::Ended{}));
    if (!ended) {
      return;
    }
  }
}

std::optional<ConcurrencyLimit::Ended> UploadWorker::upload_next() {
  auto job = flow_.next_object();
  const auto pass = job ? flow_.gate().enter(stop_.begin_nothing) : std::nullopt;
  if (!pass) {
    return std::nullopt;
  }
  const PutResult result = put(*job);
  // One that came round again has failed for reasons of its own before: unless it was the probe,
  // its next failure says nothing about the store.
  const bool tells_of_store =
      pass->probe || job->postponements == 0 || result.outcome == PutOutcome::stored;
  if (tells_of_store) {
    flow_.gate().report(*pass, result);
  }
  flow_.stats().count_upload(result.outcome);
  const ConcurrencyLimit::Ended ended{
      .bytes = job->object->body.size(),
      .failed = tells_of_store && result.outcome == PutOutcome::retry_later,
      .others_wait = flow_.objects_wait()};
  settle(*std::move(job), result, *pass);
  return ended;
}

void UploadWorker::settle(UploadJob job, const PutResult& result, const StoreGate::Pass& pass) {
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
    const auto took = std::chrono::steady_clock::now() - started;
    flow_.stats().upload_time.observe(took);
    flow_.stats().uploaded_bytes.fetch_add(job.object->body.size(), std::memory_order_relaxed);
    log::debug("upload", "stored",
               {{"id", to_number(job.id)},
                {"key", job.object->key.str()},
                {"bytes", job.object->body.size()},
                {"seconds", std::chrono::duration<double>(took).count()}});
  }
  return result;
}

}  // namespace m2b
