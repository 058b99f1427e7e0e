#include "m2b/object/object_key.hpp"

#include <cstdint>
#include <optional>

#include <fmt/format.h>

#include "m2b/util/utf8.hpp"

namespace m2b {
namespace {

constexpr std::size_t kMaxKeyBytes = 1024;     // S3 and MinIO: KeyTooLongError
constexpr std::size_t kMaxSegmentBytes = 255;  // MinIO keeps a segment as a file name
constexpr std::string_view kExtension = ".jpg";
constexpr std::string_view kFolderMark = "__XLDIR__";

using Fault = std::optional<std::string>;

Fault control_character_fault(std::string_view id) {
  for (std::size_t at = 0; at < id.size(); ++at) {
    const auto byte = static_cast<std::uint8_t>(id[at]);
    if (byte < 0x20 || byte == 0x7F) {
      return fmt::format("control character 0x{:02X} at byte {}", byte, at);
    }
  }
  return std::nullopt;
}

Fault utf8_fault(std::string_view id) {
  const std::size_t at = utf8_prefix_length(id);
  if (at == id.size()) return std::nullopt;
  if (const char32_t surrogate = encoded_surrogate(id.substr(at))) {
    return fmt::format("lone surrogate U+{:04X} at byte {}, which no UTF-8 can hold",
                       static_cast<std::uint32_t>(surrogate), at);
  }
  return fmt::format("not valid UTF-8 at byte {}", at);
}

Fault segment_fault(std::string_view segment) {
  if (segment.empty()) return "empty segment: '//'";
  if (segment == "." || segment == "..") return fmt::format("segment '{}'", segment);
  if (segment.size() > kMaxSegmentBytes) {
    return fmt::format("a segment of {} bytes; at most {} are possible", segment.size(),
                       kMaxSegmentBytes);
  }
  if (segment.ends_with(kFolderMark)) {
    return fmt::format("a segment that ends in '{}', which MinIO takes for a folder", kFolderMark);
  }
  return std::nullopt;
}

Fault segments_fault(std::string_view key) {
  for (;;) {
    const std::size_t slash = key.find('/');
    if (Fault fault = segment_fault(key.substr(0, slash))) return fault;
    if (slash == std::string_view::npos) return std::nullopt;
    key.remove_prefix(slash + 1);
  }
}

Fault key_fault(std::string_view id, std::string_view key) {
  if (id.empty()) return "empty";
  if (key.size() > kMaxKeyBytes) {
    return fmt::format("a key of {} bytes; at most {} are possible", key.size(), kMaxKeyBytes);
  }
  if (Fault fault = utf8_fault(id)) return fault;
  if (Fault fault = control_character_fault(id)) return fault;
  if (id.starts_with('/')) return "leading '/'";
  return segments_fault(key);
}

}  // namespace

std::variant<ObjectKey, std::string> ObjectKey::from_image_id(std::string_view image_id) {
  return from_parts(image_id, kExtension);
}

std::variant<ObjectKey, std::string> ObjectKey::from_parts(std::string_view prefix,
                                                           std::string_view name) {
  std::string key;
  key.reserve(prefix.size() + name.size());
  key.append(prefix).append(name);
  if (Fault fault = key_fault(prefix, key)) return std::move(*fault);
  return ObjectKey(std::move(key));
}

}  // namespace m2b
