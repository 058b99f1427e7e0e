#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "m2b/object/object.hpp"

namespace m2b {

/// The fields of a message that become user metadata, as they were read.
struct ImageFacts {
  std::string timestamp_ms;  // decimal digits
  std::string image_id;
  std::string image_height;
  std::string image_width;
  std::string image_channels;
  std::string_view topic;
};

/// S3 and MinIO refuse more than 2 KB of user metadata, names (with `x-amz-meta-`) and values
/// together (S3 user guide, "User-defined object metadata"). What is left of that is for the digest
/// that `upload` adds where the store proves uploads in no other way.
inline constexpr std::size_t kMaxMetadataBytes = 1980;

/// Percent-encodes every byte outside printable ASCII, the blank and '%' itself: reversible, and
/// the same through every proxy and signer.
[[nodiscard]] std::string encode_metadata_value(std::string_view value);

/// timestamp_ms, image_id, image_height, image_width, image_channels, mqtt_topic, in that order,
/// never with an empty value (MinIO answers that with AccessDenied) and never above
/// kMaxMetadataBytes: a topic that does not fit is cut at the end, at a whole character, and
/// `mqtt_topic_bytes` then tells its full length; an image_id that does not fit is left out, since
/// the key holds it.
[[nodiscard]] Metadata make_metadata(const ImageFacts& facts);

/// What is kept with a dead letter in the bucket.
struct LetterFacts {
  std::string_view reason;
  std::string_view detail;
  std::string_view topic;
  std::string received_at_ms;  // decimal digits
  std::string buried_at_ms;
};

/// reason, detail, received_at_ms, buried_at_ms, mqtt_topic; as make_metadata(), and a detail that
/// is long is cut as well.
[[nodiscard]] Metadata make_letter_metadata(const LetterFacts& facts);

}  // namespace m2b
