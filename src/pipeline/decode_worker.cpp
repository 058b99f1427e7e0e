#include "pipeline/decode_worker.hpp"

#include <chrono>
#include <new>
#include <utility>
#include <variant>

#include "m2b/util/log.hpp"
#include "m2b/util/thread.hpp"

namespace m2b {
namespace {

constexpr int kTries = 5;
constexpr std::chrono::seconds kPause{1};

template <class... Handlers>
struct Overloaded : Handlers... {
  using Handlers::operator()...;
};
template <class... Handlers>
Overloaded(Handlers...) -> Overloaded<Handlers...>;  // clang 14 does not deduce it by itself

}  // namespace

void DecodeWorker::run(const std::stop_token& stop) {
  while (const auto job = flow_.next_record()) {
    // In place, not later: until its key is known, no object that came after it may go.
    for (int tries = 1; !try_decode(*job, tries >= kTries); ++tries) {
      if (!sleep_for(kPause, stop)) {
        return;
      }
    }
  }
}

bool DecodeWorker::try_decode(const DecodeJob& job, bool last_try) {
  try {
    return std::visit(Overloaded{
                          [&](const Record& record) {
                            decode(job, record);
                            return true;
                          },
                          [&](NoRecord) {
                            flow_.vanished(job);
                            return true;
                          },
                          [&](DamagedRecord) {
                            flow_.undecodable(
                                job, "unknown",
                                {DeadLetterReason::damaged,
                                 "the bytes in the spool do not match the record's checksum"});
                            return true;
                          },
                          [&](ReadFailed) { return false; },
                      },
                      spool_.read(job.id));
  } catch (const std::bad_alloc&) {
    // One huge message on a small machine must not end the process: it would do so for ever.
    log::error("pipeline", "not enough memory to decode a message",
               {{"id", to_number(job.id)}, {"bytes", job.bytes}, {"last_try", last_try}});
    if (last_try) {
      flow_.undecodable(job, "unknown",
                        {DeadLetterReason::too_large, "not enough memory to decode it"});
    }
    return last_try;
  }
}

void DecodeWorker::decode(const DecodeJob& job, const Record& record) {
  const std::string_view topic = record.message().topic;
  std::variant<Object, Rejection> result = decoder_.decode(record);
  if (auto* const rejection = std::get_if<Rejection>(&result)) {
    flow_.undecodable(job, topic, std::move(*rejection));
    return;
  }
  Object& object = std::get<Object>(result);
  log::debug("pipeline", "decoded",
             {{"id", to_number(job.id)},
              {"topic", topic},
              {"key", object.key.str()},
              {"bytes", object.body.size()}});
  flow_.decoded(job, std::move(object));
}

}  // namespace m2b
