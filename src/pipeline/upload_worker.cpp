#include "pipeline/upload_worker.hpp"

#include <chrono>
#include <utility>

#include "m2b/util/log.hpp"

namespace m2b {
namespace {

/// So often an object may fail while others are stored in between before it is taken to be at
/// fault.
constexpr int kMaxOwnFailures = 3;

/// Counts failures that are this object's own: when nothing else was stored between two of them,
/// they are one failure, the store's.
class OwnFailures {
 public:
  /// `stored` as in StoreGate::Pass. True when the object has used up its tries.
  [[nodiscard]] bool add(std::uint64_t stored) {
    if (count_ == 0 || stored != stored_) {
      ++count_;
      stored_ = stored;
    }
    return count_ >= kMaxOwnFailures;
  }

 private:
  int count_ = 0;
  std::uint64_t stored_ = 0;
};

}  // namespace

void UploadWorker::prepare_bucket() {
  while (flow_.gate().state() != StoreState::reachable) {
    const auto pass = flow_.gate().enter(stop_.begin_nothing);
    if (!pass) {
      return;
    }
    const PutResult result = store_->ensure_bucket(stop_.abort);
    flow_.gate().report(*pass, result);
    if (result.outcome == PutOutcome::stopped) {
      return;
    }
    if (result.outcome == PutOutcome::doubtful) {
      return;  // credentials that may only write objects: the first upload will tell
    }
  }
}

void UploadWorker::run() {
  while (const auto job = flow_.next_object()) {
    deliver(*job);
  }
}

void UploadWorker::deliver(const UploadJob& job) {
  OwnFailures own_failures;
  while (const auto pass = flow_.gate().enter(stop_.begin_nothing)) {
    const PutResult result = put(job);
    flow_.gate().report(*pass, result);
    flow_.stats().count_upload(result.outcome);
    switch (result.outcome) {
      case PutOutcome::stored:
        return flow_.stored(job);
      case PutOutcome::rejected:
        return flow_.rejected(
            job, {DeadLetterReason::rejected_by_store, result.code + ": " + result.detail});
      case PutOutcome::stopped:
        return;
      case PutOutcome::retry_later:
      case PutOutcome::hold:
      case PutOutcome::doubtful:
        flow_.stats().count_retry(result.code);
        if (!own_failures.add(pass->stored)) {
          break;
        }
        if (result.outcome == PutOutcome::doubtful) {
          return flow_.rejected(
              job, {DeadLetterReason::rejected_by_store, result.code + ": " + result.detail});
        }
        log::warn("upload", "object fails while others are stored; it is tried again later",
                  {{"key", job.object->key.str()}, {"code", result.code}});
        feeder_.postpone({job.id, job.bytes, job.postponements});
        return flow_.left(job.bytes, job.postponements);
    }
  }
}

PutResult UploadWorker::put(const UploadJob& job) {
  const auto started = std::chrono::steady_clock::now();
  PutResult result = store_->put(*job.object, stop_.abort);
  if (result.outcome == PutOutcome::stored) {
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
