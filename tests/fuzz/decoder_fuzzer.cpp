// decode/decoder: any message under any topic becomes a good object or a dead letter with a reason.
// Input: one byte, the length of the topic; the topic; the payload.

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string_view>
#include <variant>

#include "fuzz/checks.hpp"
#include "m2b/decode/decoder.hpp"

namespace {

using namespace m2b;
using fuzz::require;

Record record_of(std::string_view topic, std::string_view payload) {
  const std::size_t bytes = topic.size() + payload.size();
  auto buffer = std::make_unique<char[]>(bytes + Record::kPaddingBytes);
  std::copy(topic.begin(), topic.end(), buffer.get());
  std::copy(payload.begin(), payload.end(), buffer.get() + topic.size());
  const std::string_view all(buffer.get(), bytes);
  return {SpoolId{1},
          std::move(buffer),
          {.topic = all.substr(0, topic.size()), .payload = all.substr(topic.size())}};
}

void check_object(const Object& object) {
  fuzz::check_key(object.key.str());
  require(object.key.str().ends_with(".jpg"), "a picture's key ends in .jpg");
  fuzz::check_metadata(object.metadata);
  require(fuzz::is_visible_ascii(object.content_type), "the content type is one of ours");
}

void check_rejection(const Rejection& rejection) {
  require(!to_string(rejection.reason).empty(), "a rejection has a reason");
  require(!rejection.detail.empty() && rejection.detail.size() < 1000, "and a detail, a short one");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view input(reinterpret_cast<const char*>(data), size);
  if (input.empty()) return 0;
  const std::size_t topic_bytes = static_cast<std::uint8_t>(input.front());
  input.remove_prefix(1);
  const std::string_view topic = input.substr(0, topic_bytes);
  const std::string_view payload = input.substr(topic.size());

  static Decoder decoder(1 << 20);
  const Record record = record_of(topic, payload);
  const auto first = decoder.decode(record);
  const auto second = decoder.decode(record);
  require(first.index() == second.index(), "the same record gives the same");
  if (const auto* const object = std::get_if<Object>(&first)) {
    check_object(*object);
    const Object& again = std::get<Object>(second);
    require(object->key == again.key && object->body == again.body &&
                object->metadata == again.metadata && object->content_type == again.content_type,
            "the same record gives the same object");
  } else {
    check_rejection(std::get<Rejection>(first));
  }
  return 0;
}
