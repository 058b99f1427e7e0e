#include "pipeline/decode_worker.hpp"

#include <fmt/format.h>

#include <chrono>
#include <new>
#include <utility>
#include <variant>

#include "m2b/util/fail_point.hpp"
#include "m2b/util/log.hpp"
#include "m2b/util/thread.hpp"

namespace m2b {
namespace {

/// So often a message that does not fit into memory is tried before it goes to the dead letters.
constexpr int kMemoryTries = 5;
constexpr std::chrono::seconds kPause{1};
/// Of a record, besides its payload: the longest topic and the header.
constexpr std::size_t kMaxRecordOverheadBytes = 70'000;

}  // namespace

void DecodeWorker::run(const std::stop_token& stop) {
  while (auto delivery = flow_.next_record()) {
    if (delivery->record_bytes > max_message_bytes_ + kMaxRecordOverheadBytes) {
      // Not even read: it may be larger than the memory.
      flow_.undecodable(
          *delivery, "unknown",
          {DeadLetterReason::too_large, fmt::format("about {} bytes; at most {} allowed",
                                                    delivery->record_bytes, max_message_bytes_)});
      continue;
    }
    if (auto result = decode(*delivery, stop)) {
      hand_on(*std::move(delivery), *std::move(result));
    }
  }
}

/// Tries in place, not later, while disk or memory do not allow it: until its key is known, no
/// object that came after it may go. Nothing when stopping.
std::optional<DecodeWorker::Result> DecodeWorker::decode(const Delivery& delivery,
                                                         const std::stop_token& stop) {
  int memory_tries = 0;
  do {
    pulse_.beat();
    try {
      ReadResult read = spool_.read(delivery.id);
      if (auto* const record = std::get_if<Record>(&read)) {
        fail_point("pipeline.read");
        std::string topic(record->message().topic);
        Result result{std::move(topic), decoder_.decode(std::move(*record))};
        fail_point("pipeline.decoded");
        return result;
      }
      if (std::holds_alternative<NoRecord>(read)) {
        return Result{};
      }
      if (std::holds_alternative<DamagedRecord>(read)) {
        return Result{"unknown",
                      Rejection{DeadLetterReason::damaged,
                                "the bytes in the spool do not match the record's checksum, or a "
                                "later version has written them"}};
      }
      if (const auto* const missing = std::get_if<KeyMissing>(&read)) {
        if (spool_.keys().is_lost(missing->key)) {
          return Result{"unknown", Rejection{DeadLetterReason::key_lost,
                                             "encrypted with key " + to_string(missing->key)}};
        }
        tell_of_missing_key(delivery, missing->key);
      }
    } catch (const std::bad_alloc&) {
      // One huge message on a small machine must not end the process: it would do so for ever.
      if (const auto held_back = failures_.admit("memory")) {
        log::error("pipeline", "not enough memory to decode a message",
                   {{"id", to_number(delivery.id)},
                    {"bytes", delivery.record_bytes},
                    {"repeated", *held_back}});
      }
      if (++memory_tries >= kMemoryTries) {
        return Result{"unknown",
                      Rejection{DeadLetterReason::too_large, "not enough memory to decode it"}};
      }
    }
  } while (sleep_for(kPause, stop));
  pulse_.rest();
  return std::nullopt;
}

/// It waits until a start with that key. Among the dead letters, too many would push each other
/// out.
void DecodeWorker::tell_of_missing_key(const Delivery& delivery, KeyId key) {
  flow_.stats().missing_key = key;
  if (const auto held_back = failures_.admit("key")) {
    log::error("pipeline",
               "a message is encrypted with a key that is not among those of SPOOL_KEY: it waits, "
               "and all that came after it; add the key, or call it lost there, and start again",
               {{"id", to_number(delivery.id)}, {"key", to_string(key)}, {"repeated", *held_back}});
  }
}

void DecodeWorker::hand_on(Delivery delivery, Result result) {
  pulse_.rest();  // a removal waits while the disk is full
  if (auto* const rejection = std::get_if<Rejection>(&result.outcome)) {
    flow_.undecodable(delivery, result.topic, *rejection);
  } else if (auto* const object = std::get_if<Object>(&result.outcome)) {
    log::debug("pipeline", "decoded",
               {{"id", to_number(delivery.id)},
                {"topic", result.topic},
                {"key", object->key.str()},
                {"bytes", object->body.size()},
                {"live", delivery.lane == Lane::live}});
    flow_.decoded(std::move(delivery), std::make_shared<const Object>(std::move(*object)));
  } else {
    flow_.gone(delivery);
  }
}

}  // namespace m2b
