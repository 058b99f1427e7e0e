#pragma once

#include <string>

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "m2b/util/handle.hpp"

/// The thinnest cover over OpenSSL: objects that free themselves, errors as text.
namespace m2b::openssl {

using Bio = Handle<BIO, &BIO_free_all>;
using Certificate = Handle<X509, &X509_free>;
using Context = Handle<SSL_CTX, &SSL_CTX_free>;
using Key = Handle<EVP_PKEY, &EVP_PKEY_free>;
using Session = Handle<SSL, &SSL_free>;
using Store = Handle<X509_STORE, &X509_STORE_free>;

/// The reason of the first error that OpenSSL holds for this thread; forgets all of them.
[[nodiscard]] std::string take_error();

}  // namespace m2b::openssl
