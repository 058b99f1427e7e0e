#include "tls/verify_fault.hpp"

#include <ctime>
#include <vector>

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <openssl/x509v3.h>

#include "m2b/util/handle.hpp"
#include "tls/openssl.hpp"

namespace m2b {
namespace {

constexpr std::size_t kMaxNames = 8;

std::string text_of(const X509_NAME* name) {
  const openssl::Bio memory(BIO_new(BIO_s_mem()));
  X509_NAME_print_ex(memory.get(), name, 0, XN_FLAG_ONELINE & ~ASN1_STRFLGS_ESC_MSB);
  char* data = nullptr;
  const long size = BIO_get_mem_data(memory.get(), &data);
  return {data, static_cast<std::size_t>(size)};
}

std::string date_of(const ASN1_TIME* time) {
  std::tm parts{};
  return ASN1_TIME_to_tm(time, &parts) == 1 ? fmt::format("{:%Y-%m-%d %H:%M} UTC", parts)
                                            : "an unreadable date";
}

std::string today() {
  return fmt::format("{:%Y-%m-%d %H:%M} UTC", fmt::gmtime(std::time(nullptr)));
}

std::string address_text(const ASN1_OCTET_STRING* address) {
  constexpr int kIpv4Bytes = 4;
  const unsigned char* const bytes = ASN1_STRING_get0_data(address);
  if (ASN1_STRING_length(address) == kIpv4Bytes) {
    return fmt::format("{}.{}.{}.{}", bytes[0], bytes[1], bytes[2], bytes[3]);
  }
  return "an IPv6 address";
}

/// DNS names and IP addresses (RFC 5280, section 4.2.1.6).
std::vector<std::string> names_of(const X509* certificate) {
  std::vector<std::string> names;
  const Handle<GENERAL_NAMES, &GENERAL_NAMES_free> all(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; i < sk_GENERAL_NAME_num(all.get()) && names.size() < kMaxNames; ++i) {
    const GENERAL_NAME* const name = sk_GENERAL_NAME_value(all.get(), i);
    if (name->type == GEN_DNS) {
      const auto* const text =
          reinterpret_cast<const char*>(ASN1_STRING_get0_data(name->d.dNSName));
      names.emplace_back(text, static_cast<std::size_t>(ASN1_STRING_length(name->d.dNSName)));
    } else if (name->type == GEN_IPADD) {
      names.push_back(address_text(name->d.iPAddress));
    }
  }
  return names;
}

std::string wrong_name(const X509* certificate, std::string_view wanted_name,
                       const TlsOptions& options) {
  const std::vector<std::string> names =
      certificate != nullptr ? names_of(certificate) : std::vector<std::string>();
  return fmt::format(
      "the certificate is for {}, not for {}: call it by a name of its certificate, or write that "
      "name into {}_SERVER_NAME",
      names.empty() ? "no host name at all" : fmt::format("{}", fmt::join(names, ", ")),
      wanted_name, options.settings);
}

}  // namespace

std::string describe_verify_fault(long code, const X509* certificate, std::string_view wanted_name,
                                  const TlsOptions& options) {
  const std::string whose = certificate != nullptr
                                ? fmt::format(" ({})", text_of(X509_get_subject_name(certificate)))
                                : "";
  switch (code) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return fmt::format(
          "the certificate{} has expired{}: it has to be renewed there, unless the clock here "
          "({}) is wrong",
          whose, certificate != nullptr ? " on " + date_of(X509_get0_notAfter(certificate)) : "",
          today());
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return fmt::format(
          "the certificate{} is valid only from {}: is the clock here ({}) wrong?", whose,
          certificate != nullptr ? date_of(X509_get0_notBefore(certificate)) : "a later date",
          today());
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
      return wrong_name(certificate, wanted_name, options);
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
      return fmt::format(
          "the certificate{} is signed by itself and not trusted here: {}_CA_FILE has to name a "
          "file that holds it, if it is the right one",
          whose, options.settings);
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
      return fmt::format(
          "the certificate{} comes from an authority that is not trusted here{}: {}_CA_FILE has to "
          "name a file with the certificate of that authority",
          whose,
          certificate != nullptr ? fmt::format(" ({})", text_of(X509_get_issuer_name(certificate)))
                                 : "",
          options.settings);
    default:
      return fmt::format("the certificate{} is not accepted: {}", whose,
                         X509_verify_cert_error_string(code));
  }
}

}  // namespace m2b
