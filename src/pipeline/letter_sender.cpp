#include "pipeline/letter_sender.hpp"

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
constexpr int kMaxTries = 3;  // of an object that is refused for an unknown reason
/// Letters also come by without our hearing of it, as after a replay that could not be.
constexpr std::chrono::minutes kLookAgain{1};

std::string milliseconds(WallTime time) { return std::to_string(time.time_since_epoch().count()); }

}  // namespace

LetterSender::LetterSender(std::string prefix, Spool& spool, Flow& flow)
    : prefix_(std::move(prefix)), spool_(spool), flow_(flow) {
  flow_.set_burial_listener([this] { wake(); });
}

void LetterSender::run(std::unique_ptr<ObjectStore> store, const UploadStop& stop) {
  while (!stop.begin_nothing.stop_requested()) {
    send_all(*store, stop);
    wait(stop.begin_nothing);
  }
}

void LetterSender::wake() {
  const std::lock_guard lock(mutex_);
  news_ = true;
  woken_.notify_all();
}

void LetterSender::wait(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  woken_.wait_for(lock, stop, kLookAgain, [this] { return news_; });
  news_ = false;
}

void LetterSender::send_all(ObjectStore& store, const UploadStop& stop) {
  SpoolId after{0};
  for (auto letters = spool_.describe_letters(after, kLettersListed); letters && !letters->empty();
       letters = spool_.describe_letters(after, kLettersListed)) {
    std::vector<SpoolId> sent;
    for (const LetterInfo& letter : *letters) {
      if (!kept_.contains(letter.record.id) && send(letter, store, stop)) {
        sent.push_back(letter.record.id);
      }
    }
    after = letters->back().record.id;
    if (!sent.empty()) {
      // One that does not leave, because the disk is full, is sent once more.
      static_cast<void>(spool_.move_letters(LetterMove::stored, std::move(sent)).get());
    }
    if (stop.begin_nothing.stop_requested()) {
      return;
    }
  }
}

bool LetterSender::send(const LetterInfo& letter, ObjectStore& store, const UploadStop& stop) {
  const auto object = object_of(letter);
  int tries = 0;
  while (object) {
    const auto pass = flow_.gate().enter(stop.begin_nothing);
    if (!pass) {
      return false;
    }
    const PutResult result = store.put(*object, stop.abort);
    if (pass->probe || result.outcome != PutOutcome::doubtful) {
      flow_.gate().report(*pass, result);
    }
    switch (result.outcome) {
      case PutOutcome::stored:
        log::debug("pipeline", "dead letter stored",
                   {{"id", to_number(letter.record.id)}, {"key", object->key.str()}});
        return true;
      case PutOutcome::stopped:
        return false;
      case PutOutcome::rejected:
        keep(letter, result.code);
        return false;
      case PutOutcome::doubtful:
        if (++tries >= kMaxTries) {
          keep(letter, result.code);
          return false;
        }
        break;
      case PutOutcome::retry_later:
      case PutOutcome::hold:
        break;
    }
  }
  return false;
}

/// Nothing when its bytes cannot be had now.
std::optional<Object> LetterSender::object_of(const LetterInfo& letter) {
  if (letter.record.key && spool_.keys().find(*letter.record.key) == nullptr) {
    if (const auto held_back = failures_.admit("key")) {
      log::error("pipeline",
                 "a dead letter is encrypted with a key that is not among those of SPOOL_KEY; it "
                 "stays in the spool",
                 {{"id", to_number(letter.record.id)},
                  {"key", to_string(*letter.record.key)},
                  {"repeated", *held_back}});
    }
    return std::nullopt;
  }
  try {
    RawResult read = spool_.read_letter(letter.record.id, 0, Spool::kWholeRecord);
    auto* const raw = std::get_if<std::string>(&read);
    if (raw == nullptr) {
      return std::nullopt;
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
    return Object{std::get<ObjectKey>(std::move(key)), std::move(*raw), content_type(""),
                  std::move(metadata)};
  } catch (const std::bad_alloc&) {
    if (const auto held_back = failures_.admit("memory")) {
      log::error("pipeline", "not enough memory to send a dead letter; it stays in the spool",
                 {{"id", to_number(letter.record.id)},
                  {"bytes", letter.record.bytes},
                  {"repeated", *held_back}});
    }
    return std::nullopt;
  }
}

void LetterSender::keep(const LetterInfo& letter, const std::string& cause) {
  if (const auto held_back = failures_.admit(cause)) {
    log::error("pipeline", "the store refuses a dead letter; it stays in the spool",
               {{"id", to_number(letter.record.id)}, {"code", cause}, {"repeated", *held_back}});
  }
  if (kept_.size() < kMaxKept) {
    kept_.insert(letter.record.id);
  }
}

}  // namespace m2b
