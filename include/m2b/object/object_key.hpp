#pragma once

#include <compare>
#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace m2b {

/// The key of an object in the bucket, known to be one that MinIO and S3 store under exactly that
/// name.
class ObjectKey {
 public:
  /// Key of an image: `<image_id>.jpg` (contract of the original service). Otherwise the reason why
  /// no object can have that key, for a person to read: an empty id, invalid UTF-8, a control
  /// character (U+0000 to U+001F, U+007F), a leading '/', or a key with over 1,024 bytes, with an
  /// empty, '.' or '..' segment, one over 255 bytes, or one that ends in `__XLDIR__` (MinIO stores
  /// such an object but leaves it out of listings). All judge the key: the id `..` gives `...jpg`.
  [[nodiscard]] static std::variant<ObjectKey, std::string> from_image_id(
      std::string_view image_id);

  /// Key of anything else that goes to the bucket, by the same rules.
  [[nodiscard]] static std::variant<ObjectKey, std::string> from_parts(std::string_view prefix,
                                                                       std::string_view name);

  [[nodiscard]] const std::string& str() const noexcept { return key_; }
  friend auto operator<=>(const ObjectKey&, const ObjectKey&) = default;

 private:
  explicit ObjectKey(std::string key) : key_(std::move(key)) {}

  std::string key_;
};

}  // namespace m2b

template <>
struct std::hash<m2b::ObjectKey> {
  std::size_t operator()(const m2b::ObjectKey& key) const noexcept {
    return std::hash<std::string>{}(key.str());
  }
};
