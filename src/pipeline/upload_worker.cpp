#include "pipeline/upload_worker.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

#include "m2b/util/fail_point.hpp"
#include "m2b/util/log.hpp"

namespace m2b {
namespace {

constexpr std::size_t kBatchBytes = std::size_t{2} << 20;

/// Whether fewer uploads at a time may help: not where the object itself is what is refused.
bool tells_of_load(const Delivery& delivery, const PutResult& result) {
  return result.outcome == PutOutcome::refused && delivery.history.refusals == 0 &&
         !result.needs_person && (result.scope == Scope::store || result.scope == Scope::path);
}

}  // namespace

void UploadWorker::prepare_bucket() {
  while (flow_.wait_to_ask()) {
    const PutResult result = store_->ensure_bucket(stop_.abort);
    flow_.asked(result);
    if (result.outcome != PutOutcome::refused || result.needs_person ||
        result.scope == Scope::ambiguous) {
      return;  // it is there, or the first upload will tell: some credentials may only write
               // objects
    }
  }
}

void UploadWorker::run() {
  while (slots_.take(stop_.begin_nothing)) {
    const auto ended = upload_next(/*only_live=*/false);
    slots_.give_back(ended.value_or(ConcurrencyLimit::Ended{}));
    if (!ended) {
      return;
    }
  }
}

void UploadWorker::run_live() {
  while (upload_next(/*only_live=*/true)) {
  }
}

std::optional<ConcurrencyLimit::Ended> UploadWorker::upload_next(bool only_live) {
  auto delivery = flow_.next_upload(only_live);
  if (!delivery) {
    return std::nullopt;
  }
  if (!fits_batch(*delivery)) {
    return upload(*std::move(delivery));
  }
  Batch batch = fill_batch(*std::move(delivery));
  ConcurrencyLimit::Ended ended = batch.deliveries.size() == 1
                                      ? upload(std::move(batch.deliveries.front()))
                                      : upload(std::move(batch.deliveries));
  if (batch.does_not_fit) {
    const ConcurrencyLimit::Ended alone = upload(*std::move(batch.does_not_fit));
    ended.objects += alone.objects;
    ended.bytes += alone.bytes;
    ended.failed = ended.failed || alone.failed;
  }
  return ended;
}

ConcurrencyLimit::Ended UploadWorker::upload(Delivery delivery) {
  const auto started = std::chrono::steady_clock::now();
  fail_point("upload.before_put");
  const PutResult result = store_->put(*delivery.object, stop_.abort);
  flow_.stats().count_upload(result);
  if (result.outcome == PutOutcome::stored) {
    fail_point("upload.after_put");
    count_stored(delivery, std::chrono::steady_clock::now() - started, 1);
  }
  ConcurrencyLimit::Ended ended{.bytes = delivery.object->body.size(),
                                .failed = tells_of_load(delivery, result)};
  flow_.ended(std::move(delivery), result);
  ended.others_wait = flow_.waiting() > 0;
  return ended;
}

bool UploadWorker::fits_batch(const Delivery& delivery) const {
  return may_batch_ && !delivery.goes_alone && !delivery.is_probe &&
         delivery.history.refusals == 0 && delivery.lane != Lane::dead_letter &&
         store_->takes_batches() && store_->fits_batch(*delivery.object);
}

UploadWorker::Batch UploadWorker::fill_batch(Delivery first) {
  // Among many others a live one would be late; and the sooner all live ones are under way, the
  // better.
  const Lane lane = first.lane;
  const std::size_t waiting = flow_.waiting(lane);
  const std::size_t share = lane == Lane::live ? waiting + 1 : waiting / slots_.count() + 1;
  const std::size_t most = std::min(share, batch_size_.most(std::chrono::steady_clock::now()));
  Batch batch;
  std::size_t bytes = first.object->body.size();
  batch.deliveries.push_back(std::move(first));
  if (most < BatchSize::kLeast) {
    return batch;
  }
  while (batch.deliveries.size() < most && bytes < kBatchBytes) {
    auto delivery = flow_.next_of_batch(lane);
    if (!delivery) {
      break;
    }
    if (!fits_batch(*delivery)) {
      batch.does_not_fit = std::move(delivery);
      break;
    }
    bytes += delivery->object->body.size();
    batch.deliveries.push_back(*std::move(delivery));
  }
  return batch;
}

ConcurrencyLimit::Ended UploadWorker::upload(std::vector<Delivery> batch) {
  const auto started = std::chrono::steady_clock::now();
  ConcurrencyLimit::Ended ended{.objects = batch.size()};
  std::vector<const Object*> objects;
  for (const Delivery& delivery : batch) {
    objects.push_back(delivery.object.get());
    ended.bytes += delivery.object->body.size();
  }
  fail_point("upload.before_put");
  const PutResult result = store_->put_batch(objects, stop_.abort);
  ended.others_wait = flow_.waiting() > 0;
  ended.failed = tells_of_load(batch.front(), result);
  switch (result.outcome) {
    case PutOutcome::stored:
      fail_point("upload.after_put");
      batch_size_.succeeded();
      flow_.stats().stored_in_batches.fetch_add(batch.size(), std::memory_order_relaxed);
      for (Delivery& delivery : batch) {
        flow_.stats().count_upload(result);
        count_stored(delivery, std::chrono::steady_clock::now() - started, objects.size());
        flow_.ended(std::move(delivery), result);
      }
      break;
    case PutOutcome::refused:
      if (!result.is_unsent) {
        batch_size_.failed(std::chrono::steady_clock::now());
      }
      flow_.stats().count_refusal(result.code);
      flow_.batch_failed(std::move(batch), result);
      break;
    case PutOutcome::stopped:
      break;
  }
  return ended;
}

void UploadWorker::count_stored(const Delivery& delivery, std::chrono::steady_clock::duration took,
                                std::size_t together) {
  PipelineStats& stats = flow_.stats();
  stats.upload_time.observe(took);
  stats.stored_at.store(wall_now(), std::memory_order_relaxed);
  stats.uploaded_bytes.fetch_add(delivery.object->body.size(), std::memory_order_relaxed);
  log::debug("upload", "stored",
             {{"id", to_number(delivery.id)},
              {"key", delivery.object->key.str()},
              {"bytes", delivery.object->body.size()},
              {"attempts", delivery.history.attempts + 1},
              {"live", delivery.lane == Lane::live},
              {"together", together},
              {"milliseconds", std::chrono::duration<double, std::milli>(took).count()}});
}

}  // namespace m2b
