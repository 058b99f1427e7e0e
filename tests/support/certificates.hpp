#pragma once

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "tls/openssl.hpp"

namespace m2b::test {

/// What a certificate is to be like.
struct CertificateWish {
  std::string common_name = "peer";
  std::vector<std::string> names = {"DNS:localhost", "IP:127.0.0.1"};  // empty: none
  std::chrono::hours valid_from{-1};                                   // from now
  std::chrono::hours valid_until{24};
};

/// A certificate with its key.
struct Identity {
  openssl::Certificate certificate;
  openssl::Key key;

  void write_certificate(const std::filesystem::path& path) const;
  /// With a password if one is given.
  void write_key(const std::filesystem::path& path, const std::string& password = {}) const;
};

/// An authority that issues certificates, made for a test.
class Authority {
 public:
  explicit Authority(const std::string& name = "authority");

  [[nodiscard]] Identity issue(const CertificateWish& wish = {}) const;
  void write_certificate(const std::filesystem::path& path) const { own_.write_certificate(path); }
  /// Borrowed.
  [[nodiscard]] X509* certificate() const noexcept { return own_.certificate.get(); }

 private:
  Identity own_;
};

/// A certificate that vouches for itself.
[[nodiscard]] Identity self_signed(const CertificateWish& wish = {});

}  // namespace m2b::test
