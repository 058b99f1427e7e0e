#pragma once

#include <array>
#include <cstddef>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "m2b/encryption/key_ring.hpp"

/// Texts at rest, under AES-256-GCM (NIST SP 800-38D). Each text has a key of its own: HKDF-Expand
/// with SHA-256 (RFC 5869, section 2.3) of the ring's key and a random salt. So no key encrypts
/// twice, its nonce can be zero, and the ring's key serves for any number of texts (with one key
/// and random nonces, 2^32 texts would be the limit: SP 800-38D, section 8.3).
///
/// An encrypted text is salt, ciphertext and tag.
namespace m2b::cipher {

inline constexpr std::size_t kSaltBytes = 16;
inline constexpr std::size_t kTagBytes = 16;
inline constexpr std::size_t kOverheadBytes = kSaltBytes + kTagBytes;

/// Encrypts the parts of a text as one. `bound` stays outside, but decrypt() wants the same.
[[nodiscard]] std::string encrypt(const EncryptionKey& key, std::string_view bound,
                                  std::initializer_list<std::string_view> parts);

/// Encrypts a text that comes in parts, for one that is too large to be in memory as a whole. What
/// it gives, put together, is what encrypt() gives.
class Encryption {
 public:
  /// `bound` as for encrypt().
  Encryption(const EncryptionKey& key, std::string_view bound);
  ~Encryption();
  Encryption(Encryption&& other) noexcept;
  Encryption& operator=(Encryption&& other) noexcept;

  /// To stand before the encrypted text.
  [[nodiscard]] std::string_view salt() const noexcept { return {salt_.data(), salt_.size()}; }
  /// Encrypts the next bytes of the text in place.
  void pass(std::span<char> text);
  /// After the last of them: to stand behind the encrypted text.
  [[nodiscard]] std::array<char, kTagBytes> tag();

 private:
  struct State;
  std::array<char, kSaltBytes> salt_{};
  std::unique_ptr<State> state_;
};

/// Decrypts in place: the text then stands behind the salt, and zeros in place of the tag. False,
/// and the bytes are as they were, when they are not what encrypt() gave for this key and `bound`.
[[nodiscard]] bool decrypt(const EncryptionKey& key, std::string_view bound,
                           std::span<char> encrypted);

/// Up to `max_bytes` of the text, from the beginning of an encrypted one. Nothing proves that they
/// are what was encrypted: only for showing.
[[nodiscard]] std::string decrypt_beginning(const EncryptionKey& key, std::string_view beginning,
                                            std::size_t max_bytes);

}  // namespace m2b::cipher
