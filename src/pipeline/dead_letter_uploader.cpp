#include "pipeline/dead_letter_uploader.hpp"

#include <fmt/format.h>

#include <chrono>
#include <new>
#include <utility>
#include <variant>

#include "m2b/object/content_type.hpp"
#include "m2b/object/metadata.hpp"
#include "m2b/util/log.hpp"

namespace m2b {
namespace {

constexpr std::size_t kLettersListed = 50;
constexpr std::size_t kMaxKept = 100'000;
/// After so many that the store refuses at the moment the others wait as well.
constexpr int kMaxRefusedInRow = 3;
/// Letters also come by without our hearing of it, as after a replay that could not be.
constexpr std::chrono::milliseconds kLookAgain = std::chrono::minutes(1);

std::string milliseconds(WallTime time) { return std::to_string(time.time_since_epoch().count()); }

}  // namespace

DeadLetterUploader::DeadLetterUploader(const PipelineOptions& options, Spool& spool, Flow& flow)
    : prefix_(options.dead_letter_prefix), pause_(options.backoff.cap), spool_(spool), flow_(flow) {
  flow_.set_dead_letter_listener([this] { wake(); });
}

void DeadLetterUploader::run(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    const bool all_is_done = upload_all(stop);
    wait(stop, all_is_done ? kLookAgain : pause_);
  }
}

void DeadLetterUploader::wake() {
  const std::lock_guard lock(mutex_);
  news_ = true;
  woken_.notify_all();
}

void DeadLetterUploader::wait(const std::stop_token& stop, std::chrono::milliseconds most) {
  std::unique_lock lock(mutex_);
  woken_.wait_for(lock, stop, most, [this] { return news_; });
  news_ = false;
}

bool DeadLetterUploader::upload_all(const std::stop_token& stop) {
  SpoolId after{0};
  int refused = 0;
  int refused_in_row = 0;
  for (auto letters = spool_.describe_letters(after, kLettersListed); letters && !letters->empty();
       letters = spool_.describe_letters(after, kLettersListed)) {
    std::vector<SpoolId> stored;
    for (const LetterInfo& letter : *letters) {
      if (kept_.contains(letter.record.id) || stop.stop_requested() ||
          refused_in_row >= kMaxRefusedInRow) {
        continue;
      }
      switch (upload(letter)) {
        case RetryAction::remove:
          stored.push_back(letter.record.id);
          refused_in_row = 0;
          break;
        case RetryAction::dead_letter:
          keep(letter);
          break;
        case RetryAction::retry_now:
        case RetryAction::wait:
        case RetryAction::retry_later:
          ++refused;
          ++refused_in_row;
          break;
        case RetryAction::abandon:
          break;
      }
    }
    after = letters->back().record.id;
    if (!stored.empty()) {
      // One that does not leave, because the disk is full, is uploaded once more.
      static_cast<void>(spool_.move_letters(LetterMove::stored, std::move(stored)).get());
    }
    if (stop.stop_requested() || refused_in_row >= kMaxRefusedInRow) {
      break;
    }
  }
  return refused == 0;
}

RetryAction DeadLetterUploader::upload(const LetterInfo& letter) {
  auto object = object_of(letter);
  if (!object) {
    return RetryAction::abandon;
  }
  const std::string key = object->key.str();
  const RetryAction action = flow_.upload_dead_letter(letter.record.id, std::move(object));
  if (action == RetryAction::remove) {
    log::debug("pipeline", "dead letter stored",
               {{"id", to_number(letter.record.id)}, {"key", key}});
  }
  return action;
}

/// Nothing when its bytes cannot be had now.
std::shared_ptr<const Object> DeadLetterUploader::object_of(const LetterInfo& letter) {
  if (letter.record.key && spool_.keys().find(*letter.record.key) == nullptr) {
    if (const auto held_back = failures_.admit("key")) {
      log::error("pipeline",
                 "a dead letter is encrypted with a key that is not among those of SPOOL_KEY; it "
                 "stays in the spool",
                 {{"id", to_number(letter.record.id)},
                  {"key", to_string(*letter.record.key)},
                  {"repeated", *held_back}});
    }
    return nullptr;
  }
  try {
    RawResult read = spool_.read_letter(letter.record.id, 0, Spool::kWholeRecord);
    auto* const raw = std::get_if<std::string>(&read);
    if (raw == nullptr) {
      return nullptr;
    }
    // The same letter always gets the same key; two bridges that share a bucket never do.
    auto key = ObjectKey::from_parts(
        prefix_,
        fmt::format("{:020}-{:016x}.json", to_number(letter.record.id), checksum_of(*raw)));
    const OpenedMessage opened = open_message(*raw, spool_.keys());
    if (const auto* const message = std::get_if<MessageView>(&opened)) {
      const auto begin = static_cast<std::size_t>(message->payload.data() - raw->data());
      raw->erase(begin + message->payload.size());
      raw->erase(0, begin);
    }
    Metadata metadata =
        make_letter_metadata({.reason = to_string(letter.rejection.reason),
                              .detail = letter.rejection.detail,
                              .topic = letter.record.topic,
                              .received_at_ms = milliseconds(letter.record.received_at),
                              .buried_at_ms = milliseconds(letter.buried_at)});
    return std::make_shared<const Object>(Object{std::get<ObjectKey>(std::move(key)),
                                                 std::move(*raw), content_type(""),
                                                 std::move(metadata)});
  } catch (const std::bad_alloc&) {
    if (const auto held_back = failures_.admit("memory")) {
      log::error("pipeline", "not enough memory to send a dead letter; it stays in the spool",
                 {{"id", to_number(letter.record.id)},
                  {"bytes", letter.record.bytes},
                  {"repeated", *held_back}});
    }
    return nullptr;
  }
}

void DeadLetterUploader::keep(const LetterInfo& letter) {
  if (const auto held_back = failures_.admit("refused")) {
    log::error("pipeline", "the store refuses a dead letter; it stays in the spool",
               {{"id", to_number(letter.record.id)}, {"repeated", *held_back}});
  }
  if (kept_.size() < kMaxKept) {
    kept_.insert(letter.record.id);
  }
}

}  // namespace m2b
