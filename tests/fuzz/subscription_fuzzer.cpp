// mqtt/subscription: the note in the spool of what the broker was asked for, and what is asked for
// when.

#include <fuzzer/FuzzedDataProvider.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "fuzz/checks.hpp"
#include "mqtt/subscription.hpp"
#include "mqtt/topic_filters.hpp"

namespace {

using namespace m2b;
using fuzz::require;

std::string line(FuzzedDataProvider& input) {
  std::string text = input.ConsumeRandomLengthString(100);
  std::replace(text.begin(), text.end(), '\n', '/');
  return text;
}

void answer_subscriptions(FuzzedDataProvider& input, const std::vector<std::string>& filters) {
  TopicFilters topics(filters, 1, BackoffPolicy{});
  TopicFilters::Time now{};
  topics.begin(now);
  while (input.remaining_bytes() > 0) {
    now += std::chrono::milliseconds(input.ConsumeIntegralInRange(0, 100'000));
    if (const auto filter = topics.next(now)) topics.asked(*filter, now);
    if (input.ConsumeBool()) topics.answered(input.ConsumeIntegral<int>(), now);
    if (input.ConsumeBool()) topics.unanswered(FilterStatus::State::disconnected, 0, now);
    if (input.ConsumeBool()) topics.begin(now);
  }
  for (const FilterStatus& filter : topics.statuses()) {
    if (filter.state == FilterStatus::State::granted) {
      require(filter.code >= 0 && filter.code <= 2 && !filter.has_failed(), "a QoS is MQTT's");
    }
    if (filter.state == FilterStatus::State::refused) {
      require(filter.code >= 0x80 && filter.code <= 0xFF && filter.has_failed(),
              "a refusal is MQTT's");
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  FuzzedDataProvider input(data, size);
  if (input.ConsumeBool()) {
    const std::string note = input.ConsumeRemainingBytesAsString();
    const fuzz::Exact exact(note);
    if (const auto subscription = decode_subscription(exact.view())) {
      require(decode_subscription(encode(*subscription)) == subscription, "it reads its own notes");
    }
    return 0;
  }
  Subscription subscription{line(input), line(input), input.ConsumeIntegralInRange(0, 2), {}};
  const auto count = input.ConsumeIntegralInRange<std::size_t>(1, 5);
  for (std::size_t i = 0; i < count; ++i) subscription.filters.push_back(line(input));
  require(decode_subscription(encode(subscription)) == subscription, "what is noted is read");
  answer_subscriptions(input, subscription.filters);
  return 0;
}
