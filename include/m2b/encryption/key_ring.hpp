#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace m2b {

/// Tells keys apart without telling them. Written to disk beside what the key encrypted.
enum class KeyId : std::uint32_t {};

/// Eight hexadecimal digits, as they stand in logs and tools.
[[nodiscard]] std::string to_string(KeyId id);
/// From those digits; nothing when they are not exactly that.
[[nodiscard]] std::optional<KeyId> parse_key_id(std::string_view digits);
/// For a person: "encrypted with key …, which is not among those of SPOOL_KEY".
[[nodiscard]] std::string missing_key_text(KeyId id);

/// A key for encrypt(). Its bytes are overwritten when it goes.
class EncryptionKey {
 public:
  static constexpr std::size_t kBytes = 32;
  using Bytes = std::array<char, kBytes>;

  explicit EncryptionKey(const Bytes& bytes);
  ~EncryptionKey();
  EncryptionKey(const EncryptionKey&) = delete;
  EncryptionKey& operator=(const EncryptionKey&) = delete;

  [[nodiscard]] KeyId id() const noexcept { return id_; }
  [[nodiscard]] std::string_view bytes() const noexcept { return {bytes_.data(), bytes_.size()}; }

 private:
  Bytes bytes_;
  KeyId id_;
};

/// The keys of SPOOL_KEY: the first one encrypts, all decrypt. Copies share them. Any thread.
class KeyRing {
 public:
  /// Nothing was given: nothing is encrypted, and what is encrypted cannot be read.
  KeyRing() = default;

  /// One key a line, 32 bytes in base64 (RFC 4648, section 4); empty lines and those that begin
  /// with `#` do not count. `plain` in the first line: the keys that follow only decrypt. `lost`
  /// and a key's id: nobody has that key any more. What is wrong is told as "must be …" and without
  /// any part of the text.
  [[nodiscard]] static std::variant<KeyRing, std::string> parse(std::string_view text);

  [[nodiscard]] bool is_given() const noexcept { return is_given_; }
  /// Nothing: what is written stands in the clear.
  [[nodiscard]] const EncryptionKey* encrypting() const noexcept;
  /// Nothing: it is not among them.
  [[nodiscard]] const EncryptionKey* find(KeyId id) const noexcept;
  /// Nobody will ever give it.
  [[nodiscard]] bool is_lost(KeyId id) const noexcept;

 private:
  std::vector<std::shared_ptr<const EncryptionKey>> keys_;
  std::vector<KeyId> lost_;
  bool is_given_ = false;
  bool encrypts_ = false;
};

}  // namespace m2b
