#pragma once

#include <memory>
#include <string>

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

/// The thinnest cover over OpenSSL: objects that free themselves, errors as text.
namespace m2b::openssl {

template <auto free>
struct Free {
  template <class Object>
  void operator()(Object* object) const noexcept {
    free(object);
  }
};

using Bio = std::unique_ptr<BIO, Free<&BIO_free_all>>;
using Certificate = std::unique_ptr<X509, Free<&X509_free>>;
using Context = std::unique_ptr<SSL_CTX, Free<&SSL_CTX_free>>;
using Key = std::unique_ptr<EVP_PKEY, Free<&EVP_PKEY_free>>;
using Session = std::unique_ptr<SSL, Free<&SSL_free>>;
using Store = std::unique_ptr<X509_STORE, Free<&X509_STORE_free>>;

/// The reason of the first error that OpenSSL holds for this thread; forgets all of them.
[[nodiscard]] std::string take_error();

}  // namespace m2b::openssl
