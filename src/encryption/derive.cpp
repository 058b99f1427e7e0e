#include "encryption/derive.hpp"

#include <stdexcept>
#include <string>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

namespace m2b {

DerivedKey::~DerivedKey() { OPENSSL_cleanse(bytes_.data(), bytes_.size()); }

DerivedKey derive(std::string_view key, std::string_view purpose, std::string_view salt) {
  // For no more bytes than the hash has there is one round, whose number is the last byte.
  std::string info(purpose);
  info.append(salt).push_back('\x01');
  DerivedKey::Bytes bytes{};
  unsigned length = 0;
  if (HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
           reinterpret_cast<const unsigned char*>(info.data()), info.size(), bytes.data(),
           &length) == nullptr ||
      length != bytes.size()) {
    throw std::runtime_error("OpenSSL makes no HMAC-SHA256");
  }
  return DerivedKey(bytes);
}

}  // namespace m2b
