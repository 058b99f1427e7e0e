#include "bench/decode_bench.hpp"

#include <algorithm>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <string_view>
#include <variant>

#include "bench/pictures.hpp"
#include "bench/progress.hpp"
#include "bench/stop.hpp"
#include "m2b/decode/decoder.hpp"

namespace m2b::bench {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::string_view kTopic = "bench/picture";

/// As the spool hands it out.
Record record_of(std::string_view payload) {
  auto buffer = std::make_unique<char[]>(payload.size() + Record::kPaddingBytes);
  std::copy(payload.begin(), payload.end(), buffer.get());
  MessageView message;
  message.topic = kTopic;
  message.payload = {buffer.get(), payload.size()};
  message.received_at = wall_now();
  return {SpoolId{1}, std::move(buffer), message};
}

}  // namespace

DecodeResult run_decode(double seconds, std::size_t picture_bytes, const std::stop_token& stop) {
  Picture picture(picture_bytes);
  const Record record = record_of(picture.message(1));
  Decoder decoder(std::size_t{32} << 20);
  DecodeResult result{picture_bytes, picture.message_bytes()};
  const auto once = [&] {
    const auto decoded = decoder.decode(record);
    const auto* const object = std::get_if<Object>(&decoded);
    if (object == nullptr || object->body.size() != picture_bytes) {
      throw std::logic_error("the decoder gave no picture");
    }
  };
  once();  // its memory grows with the first message
  const Progress progress("decode");
  const auto begin = Clock::now();
  do {
    throw_if_stopped(stop);
    once();
    ++result.messages;
    result.seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  } while (result.seconds < seconds);
  return result;
}

}  // namespace m2b::bench
