#include "pipeline/flow.hpp"

#include <utility>

#include "m2b/util/log.hpp"

namespace m2b {
namespace {

/// What a record in flight takes besides its payload; bounds the number of tiny ones.
constexpr std::size_t kRecordOverheadBytes = 2048;
constexpr std::size_t kDecodeSlots = 256;

}  // namespace

Flow::Flow(const PipelineOptions& options, Spool& spool)
    : spool_(spool),
      budget_(options.in_flight_bytes),
      decode_queue_(kDecodeSlots),
      // A slot for everything that the budget admits: an uploader that hands on the next object of
      // a key must never wait for itself.
      upload_queue_(options.in_flight_bytes / kRecordOverheadBytes + 1),
      gate_(options.backoff) {}

bool Flow::admit(const SpoolEntry& entry) {
  const std::size_t bytes = entry.bytes + kRecordOverheadBytes;
  if (!budget_.try_acquire(bytes)) {
    return false;
  }
  {
    const std::lock_guard lock(mutex_);
    order_.admit(entry.id);
  }
  static_cast<void>(decode_queue_.push({entry.id, bytes, 0}));
  return true;
}

void Flow::readmit(DecodeJob job) {
  readmitted_ = true;
  job.bytes = 0;
  static_cast<void>(decode_queue_.push(job));
}

void Flow::set_room_listener(std::function<void()> listener) {
  room_listener_ = std::move(listener);
}

void Flow::decoded(const DecodeJob& job, Object object) {
  UploadJob upload{job.id, job.bytes, job.postponements,
                   std::make_unique<Object>(std::move(object))};
  std::vector<UploadJob> ready;
  if (job.postponements > 0) {
    ready.push_back(std::move(upload));  // its key is still its own
  } else {
    const std::lock_guard lock(mutex_);
    ready = order_.decoded(std::move(upload));
  }
  push(std::move(ready));
}

void Flow::vanished(const DecodeJob& job) {
  if (job.postponements > 0) {
    finish(job.id, job.bytes, job.postponements, std::nullopt);
    return;
  }
  std::vector<UploadJob> ready;
  {
    const std::lock_guard lock(mutex_);
    ready = order_.dropped(job.id);
  }
  left(job.bytes, job.postponements);
  push(std::move(ready));
}

void Flow::undecodable(const DecodeJob& job, std::string_view topic, Rejection rejection) {
  count_dead_letter(job.id, "topic", topic, rejection);
  if (job.postponements > 0) {
    finish(job.id, job.bytes, job.postponements, std::move(rejection));
  } else if (settle(job.id, std::move(rejection))) {
    vanished(job);
  }
}

void Flow::stored(const UploadJob& job) {
  finish(job.id, job.bytes, job.postponements, std::nullopt);
}

void Flow::rejected(const UploadJob& job, Rejection rejection) {
  count_dead_letter(job.id, "key", job.object->key.str(), rejection);
  finish(job.id, job.bytes, job.postponements, std::move(rejection));
}

void Flow::left(std::size_t bytes, std::uint32_t postponements) {
  bool has_news = budget_.release(bytes);
  if (postponements > 0) {
    readmitted_ = false;
    has_news = true;
  }
  if (has_news) {
    room_listener_();
  }
}

void Flow::close() noexcept {
  closed_.request_stop();
  decode_queue_.close();
  upload_queue_.close();
}

void Flow::push(std::vector<UploadJob> jobs) {
  for (UploadJob& job : jobs) {
    if (!upload_queue_.push(std::move(job))) {
      return;
    }
  }
}

/// Settles first and lets the next object of the key go second: settlements are committed in this
/// order, so after a crash the later one is never gone while the earlier one is offered again.
void Flow::finish(SpoolId id, std::size_t bytes, std::uint32_t postponements,
                  std::optional<Rejection> rejection) {
  if (!settle(id, std::move(rejection))) {
    return;
  }
  std::optional<UploadJob> next;
  {
    const std::lock_guard lock(mutex_);
    next = order_.finished(id);
  }
  left(bytes, postponements);
  if (next) {
    static_cast<void>(upload_queue_.push(std::move(*next)));
  }
}

bool Flow::settle(SpoolId id, std::optional<Rejection> rejection) {
  return spool_.settle({id, std::move(rejection)}, closed_.get_token());
}

void Flow::count_dead_letter(SpoolId id, std::string_view name, std::string_view value,
                             const Rejection& rejection) {
  stats_.count_dead_letter(rejection.reason);
  const std::string_view reason = to_string(rejection.reason);
  if (const auto held_back = dead_letter_lines_.admit(reason)) {
    log::warn("pipeline", "message goes to the dead letters",
              {{"id", to_number(id)},
               {name, value},
               {"reason", reason},
               {"detail", rejection.detail},
               {"repeated", *held_back}});
  }
}

}  // namespace m2b
