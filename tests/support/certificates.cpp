#include "support/certificates.hpp"

#include <cstdio>
#include <stdexcept>

#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "m2b/util/handle.hpp"

namespace m2b::test {
namespace {

using File = Handle<std::FILE, &std::fclose>;

void check(bool good) {
  if (!good) {
    throw std::runtime_error("a test certificate cannot be made: " + openssl::take_error());
  }
}

File open(const std::filesystem::path& path) {
  File file(std::fopen(path.c_str(), "wbe"));
  check(file != nullptr);
  return file;
}

void add_extension(X509* certificate, int nid, const std::string& value) {
  const Handle<X509_EXTENSION, &X509_EXTENSION_free> extension(
      X509V3_EXT_conf_nid(nullptr, nullptr, nid, value.c_str()));
  check(extension != nullptr && X509_add_ext(certificate, extension.get(), -1) == 1);
}

/// Not yet signed, and issued by itself.
Identity begin(const CertificateWish& wish) {
  static long next_serial = 1;
  Identity identity;
  identity.key.reset(EVP_EC_gen("P-256"));
  identity.certificate.reset(X509_new());
  check(identity.key != nullptr && identity.certificate != nullptr);
  X509* const made = identity.certificate.get();
  X509_set_version(made, X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(made), next_serial++);
  const auto seconds = [](std::chrono::hours hours) {
    return static_cast<long>(std::chrono::seconds(hours).count());
  };
  X509_gmtime_adj(X509_getm_notBefore(made), seconds(wish.valid_from));
  X509_gmtime_adj(X509_getm_notAfter(made), seconds(wish.valid_until));
  const auto* const name = reinterpret_cast<const unsigned char*>(wish.common_name.c_str());
  X509_NAME_add_entry_by_txt(X509_get_subject_name(made), "CN", MBSTRING_UTF8, name, -1, -1, 0);
  X509_set_issuer_name(made, X509_get_subject_name(made));
  X509_set_pubkey(made, identity.key.get());
  std::string names;
  for (const std::string& each : wish.names) {
    names += (names.empty() ? "" : ",") + each;
  }
  if (!names.empty()) {
    add_extension(made, NID_subject_alt_name, names);
  }
  return identity;
}

}  // namespace

void Identity::write_certificate(const std::filesystem::path& path) const {
  check(PEM_write_X509(open(path).get(), certificate.get()) == 1);
}

void Identity::write_key(const std::filesystem::path& path, const std::string& password) const {
  const auto* const bytes = reinterpret_cast<const unsigned char*>(password.c_str());
  check(PEM_write_PrivateKey(open(path).get(), key.get(),
                             password.empty() ? nullptr : EVP_aes_128_cbc(), bytes,
                             static_cast<int>(password.size()), nullptr, nullptr) == 1);
}

Authority::Authority(const std::string& name) : own_(begin({.common_name = name, .names = {}})) {
  add_extension(own_.certificate.get(), NID_basic_constraints, "critical,CA:TRUE");
  check(X509_sign(own_.certificate.get(), own_.key.get(), EVP_sha256()) != 0);
}

Identity Authority::issue(const CertificateWish& wish) const {
  Identity identity = begin(wish);
  X509_set_issuer_name(identity.certificate.get(), X509_get_subject_name(own_.certificate.get()));
  check(X509_sign(identity.certificate.get(), own_.key.get(), EVP_sha256()) != 0);
  return identity;
}

Identity self_signed(const CertificateWish& wish) {
  Identity identity = begin(wish);
  check(X509_sign(identity.certificate.get(), identity.key.get(), EVP_sha256()) != 0);
  return identity;
}

}  // namespace m2b::test
