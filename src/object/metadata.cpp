#include "m2b/object/metadata.hpp"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "m2b/util/utf8.hpp"

namespace m2b {
namespace {

constexpr std::string_view kHeaderPrefix = "x-amz-meta-";
constexpr std::string_view kTopic = "mqtt_topic";
constexpr std::string_view kTopicBytes = "mqtt_topic_bytes";
// A topic has at most 65,535 bytes (MQTT 5, 1.5.4): five digits.
constexpr std::size_t kTopicBytesCost = kHeaderPrefix.size() + kTopicBytes.size() + 5;

std::size_t cost(std::string_view name, std::string_view value) {
  return kHeaderPrefix.size() + name.size() + value.size();
}

std::size_t size_of(const Metadata& metadata) {
  std::size_t size = 0;
  for (const auto& [name, value] : metadata) size += cost(name, value);
  return size;
}

/// As many whole characters from the start of the topic as fit into the room once encoded.
std::string encode_cut(std::string_view topic, std::size_t room) {
  std::string encoded;
  while (!topic.empty()) {
    // Bytes that are no UTF-8 count as characters of their own.
    const std::size_t length = std::max<std::size_t>(utf8_character_length(topic), 1);
    const std::string character = encode_metadata_value(topic.substr(0, length));
    if (encoded.size() + character.size() > room) break;
    encoded += character;
    topic.remove_prefix(length);
  }
  return encoded;
}

void add_topic(Metadata& metadata, std::string_view topic) {
  const std::size_t taken = size_of(metadata);
  std::string encoded = encode_metadata_value(topic);
  if (taken + cost(kTopic, encoded) <= kMaxMetadataBytes) {
    metadata.emplace_back(kTopic, std::move(encoded));
    return;
  }
  const std::size_t needed = taken + kTopicBytesCost + cost(kTopic, {});
  const std::size_t room = needed < kMaxMetadataBytes ? kMaxMetadataBytes - needed : 0;
  metadata.emplace_back(kTopic, encode_cut(topic, room));
  metadata.emplace_back(kTopicBytes, std::to_string(topic.size()));
}

}  // namespace

std::string encode_metadata_value(std::string_view value) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string encoded;
  encoded.reserve(value.size());
  for (const char character : value) {
    const auto byte = static_cast<std::uint8_t>(character);
    if (byte > 0x20 && byte < 0x7F && byte != '%') {
      encoded += character;
    } else {
      encoded += '%';
      encoded += kHex[byte >> 4U];
      encoded += kHex[byte & 0xFU];
    }
  }
  return encoded;
}

Metadata make_letter_metadata(const LetterFacts& facts) {
  constexpr std::size_t kMaxDetailBytes = 600;
  Metadata metadata{{"reason", std::string(facts.reason)},
                    {"detail", encode_cut(facts.detail, kMaxDetailBytes)},
                    {"received_at_ms", facts.received_at_ms},
                    {"buried_at_ms", facts.buried_at_ms}};
  add_topic(metadata, facts.topic);
  std::erase_if(metadata, [](const auto& entry) { return entry.second.empty(); });
  return metadata;
}

Metadata make_metadata(const ImageFacts& facts) {
  Metadata metadata{{"timestamp_ms", facts.timestamp_ms},
                    {"image_id", encode_metadata_value(facts.image_id)},
                    {"image_height", facts.image_height},
                    {"image_width", facts.image_width},
                    {"image_channels", facts.image_channels}};
  std::string& image_id = metadata[1].second;
  if (size_of(metadata) + kTopicBytesCost > kMaxMetadataBytes) image_id.clear();
  add_topic(metadata, facts.topic);
  std::erase_if(metadata, [](const auto& entry) { return entry.second.empty(); });
  return metadata;
}

}  // namespace m2b
