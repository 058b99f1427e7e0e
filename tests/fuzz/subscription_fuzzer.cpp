// mqtt/subscription: the note in the spool of what the broker was asked for, and SUBACK codes.

#include <fuzzer/FuzzedDataProvider.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "fuzz/checks.hpp"
#include "mqtt/subscription.hpp"

namespace {

using namespace m2b;
using fuzz::require;

std::string line(FuzzedDataProvider& input) {
  std::string text = input.ConsumeRandomLengthString(100);
  std::replace(text.begin(), text.end(), '\n', '/');
  return text;
}

void answer_subscriptions(FuzzedDataProvider& input, const std::vector<std::string>& filters) {
  SubscribeRound round(filters, input.ConsumeBool() ? MqttVersion::v5 : MqttVersion::v3_1_1);
  while (!round.complete()) {
    std::vector<int> codes(input.ConsumeIntegralInRange<std::size_t>(0, filters.size() + 1));
    for (int& code : codes) code = input.ConsumeIntegral<int>();
    round.answer(codes);
  }
  for (const int code : round.codes()) {
    require((code >= 0 && code <= 2) || (code >= 0x80 && code <= 0xFF), "a code is MQTT's");
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
