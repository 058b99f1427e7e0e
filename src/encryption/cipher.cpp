#include "m2b/encryption/cipher.hpp"

#include <algorithm>
#include <array>
#include <stdexcept>

#include <openssl/evp.h>
#include <openssl/rand.h>

#include "encryption/derive.hpp"
#include "m2b/util/handle.hpp"

namespace m2b::cipher {
namespace {

using Context = Handle<EVP_CIPHER_CTX, &EVP_CIPHER_CTX_free>;

unsigned char* raw(char* bytes) { return reinterpret_cast<unsigned char*>(bytes); }
const unsigned char* raw(std::string_view bytes) {
  return reinterpret_cast<const unsigned char*>(bytes.data());
}

void must(int code, const char* what) {
  if (code != 1) {
    throw std::runtime_error(std::string("OpenSSL fails: ") + what);
  }
}

enum class Direction { decrypt = 0, encrypt = 1 };

/// AES-256-GCM under the key that belongs to this salt.
class Gcm {
 public:
  Gcm(const EncryptionKey& key, std::string_view salt, Direction direction)
      : context_(EVP_CIPHER_CTX_new()) {
    constexpr std::array<unsigned char, 12> kNonce{};
    const DerivedKey derived = derive(key.bytes(), "mqtt-to-blob text", salt);
    if (!context_) {
      throw std::bad_alloc();
    }
    must(EVP_CipherInit_ex(context_.get(), EVP_aes_256_gcm(), nullptr, derived.bytes().data(),
                           kNonce.data(), static_cast<int>(direction)),
         "EVP_CipherInit_ex");
  }

  void bind(std::string_view bound) {
    int done = 0;
    must(EVP_CipherUpdate(context_.get(), nullptr, &done, raw(bound),
                          static_cast<int>(bound.size())),
         "EVP_CipherUpdate");
  }

  /// Writes as many bytes as it reads; `to` may be where they stand.
  void pass(std::string_view from, char* to) {
    if (from.empty()) {
      return;
    }
    int done = 0;
    must(EVP_CipherUpdate(context_.get(), raw(to), &done, raw(from), static_cast<int>(from.size())),
         "EVP_CipherUpdate");
  }

  void write_tag(char* to) {
    int done = 0;
    must(EVP_CipherFinal_ex(context_.get(), raw(to), &done), "EVP_CipherFinal_ex");
    must(EVP_CIPHER_CTX_ctrl(context_.get(), EVP_CTRL_GCM_GET_TAG, kTagBytes, to),
         "EVP_CTRL_GCM_GET_TAG");
  }

  [[nodiscard]] bool has_tag(char* tag) {
    must(EVP_CIPHER_CTX_ctrl(context_.get(), EVP_CTRL_GCM_SET_TAG, kTagBytes, tag),
         "EVP_CTRL_GCM_SET_TAG");
    int done = 0;
    return EVP_CipherFinal_ex(context_.get(), raw(tag), &done) == 1;
  }

 private:
  Context context_;
};

}  // namespace

struct Encryption::State {
  Gcm gcm;
};

Encryption::Encryption(const EncryptionKey& key, std::string_view bound) {
  must(RAND_bytes(raw(salt_.data()), kSaltBytes), "RAND_bytes");
  state_ = std::make_unique<State>(State{Gcm(key, salt(), Direction::encrypt)});
  state_->gcm.bind(bound);
}

Encryption::~Encryption() = default;
Encryption::Encryption(Encryption&& other) noexcept = default;
Encryption& Encryption::operator=(Encryption&& other) noexcept = default;

void Encryption::pass(std::span<char> text) {
  state_->gcm.pass({text.data(), text.size()}, text.data());
}

std::array<char, kTagBytes> Encryption::tag() {
  std::array<char, kTagBytes> tag{};
  state_->gcm.write_tag(tag.data());
  return tag;
}

std::string encrypt(const EncryptionKey& key, std::string_view bound,
                    std::initializer_list<std::string_view> parts) {
  std::size_t bytes = kOverheadBytes;
  for (const std::string_view part : parts) {
    bytes += part.size();
  }
  std::string encrypted(bytes, '\0');
  must(RAND_bytes(raw(encrypted.data()), kSaltBytes), "RAND_bytes");
  Gcm gcm(key, {encrypted.data(), kSaltBytes}, Direction::encrypt);
  gcm.bind(bound);
  char* to = encrypted.data() + kSaltBytes;
  for (const std::string_view part : parts) {
    gcm.pass(part, to);
    to += part.size();
  }
  gcm.write_tag(to);
  return encrypted;
}

bool decrypt(const EncryptionKey& key, std::string_view bound, std::span<char> encrypted) {
  if (encrypted.size() < kOverheadBytes) {
    return false;
  }
  const std::span<char> text = encrypted.subspan(kSaltBytes, encrypted.size() - kOverheadBytes);
  const std::span<char> tag = encrypted.last(kTagBytes);
  const std::string_view salt(encrypted.data(), kSaltBytes);
  Gcm gcm(key, salt, Direction::decrypt);
  gcm.bind(bound);
  gcm.pass({text.data(), text.size()}, text.data());
  if (!gcm.has_tag(tag.data())) {
    // The mode adds a stream of bytes, and adding it once more takes it away.
    Gcm(key, salt, Direction::decrypt).pass({text.data(), text.size()}, text.data());
    return false;
  }
  std::ranges::fill(tag, '\0');
  return true;
}

std::string decrypt_beginning(const EncryptionKey& key, std::string_view beginning,
                              std::size_t max_bytes) {
  if (beginning.size() < kSaltBytes) {
    return "";
  }
  std::string text(beginning.substr(kSaltBytes, max_bytes));
  Gcm(key, beginning.substr(0, kSaltBytes), Direction::decrypt).pass(text, text.data());
  return text;
}

}  // namespace m2b::cipher
