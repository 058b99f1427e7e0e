#include "m2b/tls/tls_material.hpp"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "support/certificates.hpp"
#include "support/temp_dir.hpp"

namespace {

using namespace m2b;
using test::Authority;
using test::Identity;

TEST_SUITE("tls_material") {
  struct Fixture {
    Fixture() {
      options.settings = "STORE";
      options.ca_file = folder.path() / "ca.pem";
      options.certificate_file = folder.path() / "own.pem";
      options.key_file = folder.path() / "own.key";
      authority.write_certificate(options.ca_file);
      write(authority.issue());
    }

    void write(const Identity& identity) const {
      identity.write_certificate(options.certificate_file);
      identity.write_key(options.key_file);
    }
    /// Which certificate a connection would show now; empty: none, or not equipped.
    [[nodiscard]] std::string shown() {
      const openssl::Context context(SSL_CTX_new(TLS_client_method()));
      if (!material.equip(context.get())) {
        return {};
      }
      const X509* const own = SSL_CTX_get0_certificate(context.get());
      return own == nullptr ? "" : std::to_string(ASN1_INTEGER_get(X509_get0_serialNumber(own)));
    }

    test::TempDir folder;
    Authority authority;
    TlsOptions options;
    TlsMaterial material{options};
  };

  std::string serial_of(const Identity& identity) {
    return std::to_string(ASN1_INTEGER_get(X509_get0_serialNumber(identity.certificate.get())));
  }

  TEST_CASE_FIXTURE(Fixture, "contexts get authorities, certificate and the least version") {
    options.min_version = TlsVersion::v1_3;
    const openssl::Context context(SSL_CTX_new(TLS_client_method()));
    REQUIRE(material.equip(context.get()));
    CHECK(SSL_CTX_get_min_proto_version(context.get()) == TLS1_3_VERSION);
    CHECK(SSL_CTX_check_private_key(context.get()) == 1);
    CHECK(sk_X509_OBJECT_num(X509_STORE_get0_objects(SSL_CTX_get_cert_store(context.get()))) == 1);
    // Read once: all contexts share it.
    const openssl::Context other(SSL_CTX_new(TLS_client_method()));
    REQUIRE(material.equip(other.get()));
    CHECK(SSL_CTX_get_cert_store(other.get()) == SSL_CTX_get_cert_store(context.get()));
  }

  TEST_CASE_FIXTURE(Fixture, "without files it trusts whom the system trusts, and shows nothing") {
    options = {};
    CHECK_FALSE(check_tls_files(options));
    const openssl::Context context(SSL_CTX_new(TLS_client_method()));
    CHECK(material.equip(context.get()));
    CHECK(SSL_CTX_get0_certificate(context.get()) == nullptr);
  }

  TEST_CASE_FIXTURE(Fixture, "a renewed certificate is used by the next connection") {
    const std::string before = shown();
    CHECK_FALSE(before.empty());
    CHECK(shown() == before);
    const Identity renewed = authority.issue();
    write(renewed);
    CHECK(shown() == serial_of(renewed));
    CHECK(shown() != before);
  }

  TEST_CASE_FIXTURE(Fixture, "a renewal that went wrong leaves the old one in use until mended") {
    const std::string before = shown();
    const Identity renewed = authority.issue();
    renewed.write_certificate(options.certificate_file);  // and its key is still to come
    CHECK(shown() == before);
    CHECK(shown() == before);
    renewed.write_key(options.key_file);
    CHECK(shown() == serial_of(renewed));
    std::filesystem::remove(options.ca_file);
    CHECK(shown() == serial_of(renewed));
  }

  TEST_CASE_FIXTURE(Fixture, "files that never could be read equip nothing") {
    std::filesystem::remove(options.key_file);
    CHECK(shown().empty());
    write(authority.issue());
    CHECK_FALSE(shown().empty());
  }

  TEST_CASE_FIXTURE(Fixture, "when our certificate ends is read from its file") {
    const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
    write(authority.issue({.valid_until = std::chrono::hours(48)}));
    const auto ends = own_certificate_ends(options);
    REQUIRE(ends);
    CHECK(std::chrono::abs(*ends - now - std::chrono::hours(48)) < std::chrono::minutes(1));
    options.certificate_file += ".none";
    CHECK_FALSE(own_certificate_ends(options));
    CHECK_FALSE(own_certificate_ends({}));
  }

  TEST_CASE_FIXTURE(Fixture, "what is wrong with a file is said") {
    CHECK_FALSE(check_tls_files(options));
    const auto fault = [this] { return check_tls_files(options).value_or(TlsFault{}); };
    using Part = TlsFault::Part;

    SUBCASE("no such file") {
      std::filesystem::remove(options.certificate_file);
      CHECK(fault().part == Part::certificate_file);
      CHECK(fault().text == "cannot be read: No such file or directory");
      CHECK(file_of(options, fault().part) == options.certificate_file);
    }
    SUBCASE("no certificates in it") {
      std::ofstream(options.ca_file) << "hello\n";
      CHECK(fault().part == Part::ca_file);
      CHECK(fault().text.find("holds no certificates in PEM form") == 0);
    }
    SUBCASE("the key of another certificate") {
      authority.issue().write_key(options.key_file);
      CHECK(fault().part == Part::key_file);
      CHECK(fault().text.find("is not the key of the certificate in \"") == 0);
    }
    SUBCASE("a password that opens it, or not") {
      const Identity identity = authority.issue();
      identity.write_certificate(options.certificate_file);
      identity.write_key(options.key_file, "open sesame");
      options.key_password = Secret("open sesame");
      CHECK_FALSE(check_tls_files(options));
      options.key_password = Secret("close sesame");
      CHECK(fault().part == Part::key_file);
      CHECK(fault().text.find("the password of STORE_KEY_PASSWORD opens") != std::string::npos);
      CHECK(fault().text.find("sesame") == std::string::npos);
      options.key_password = Secret();
      CHECK(fault().text.find("needs no password") != std::string::npos);
    }
  }
}

}  // namespace
