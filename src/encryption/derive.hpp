#pragma once

#include <array>
#include <string_view>

namespace m2b {

/// 32 bytes that are overwritten when they go.
class DerivedKey {
 public:
  using Bytes = std::array<unsigned char, 32>;

  explicit DerivedKey(const Bytes& bytes) : bytes_(bytes) {}
  ~DerivedKey();
  DerivedKey(const DerivedKey&) = delete;
  DerivedKey& operator=(const DerivedKey&) = delete;

  [[nodiscard]] const Bytes& bytes() const noexcept { return bytes_; }

 private:
  Bytes bytes_;
};

/// HKDF-Expand with SHA-256 for 32 bytes (RFC 5869, section 2.3); what it is for and the salt are
/// its info. The key is uniformly random already, so there is nothing to extract.
[[nodiscard]] DerivedKey derive(std::string_view key, std::string_view purpose,
                                std::string_view salt);

}  // namespace m2b
