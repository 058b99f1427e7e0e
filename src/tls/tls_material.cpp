#include "m2b/tls/tls_material.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <initializer_list>
#include <stdexcept>
#include <system_error>
#include <utility>
#include <variant>

#include <fmt/format.h>
#include <openssl/conf.h>
#include <openssl/pem.h>

#include "m2b/tls/handshake_limit.hpp"
#include "m2b/util/handle.hpp"
#include "m2b/util/log.hpp"
#include "tls/openssl.hpp"

namespace m2b {

struct TlsMaterial::Loaded {
  openssl::Store authorities;
  openssl::Certificate certificate;  // ours, if we have one
  std::vector<openssl::Certificate> chain;
  openssl::Key key;

  [[nodiscard]] static std::variant<Loaded, TlsFault> from(const TlsOptions& options);
  /// Reads a hundred certificates and more, so not where files are only looked at.
  void trust_the_system_if_told_nothing(const TlsOptions& options);
  [[nodiscard]] bool equip(SSL_CTX* context, TlsVersion least) const;
};

namespace {

using Part = TlsFault::Part;

/// A file opened for reading, or why it cannot be.
std::variant<openssl::Bio, std::string> open(const std::string& path) {
  errno = 0;
  openssl::Bio file(BIO_new_file(path.c_str(), "r"));
  if (file == nullptr) {
    const int error = errno;
    static_cast<void>(openssl::take_error());
    return "cannot be read: " + std::generic_category().message(error);
  }
  return file;
}

/// Instead of OpenSSL's own, which asks on the terminal.
int give_password(char* buffer, int size, int /*for_writing*/, void* secret) {
  const std::string& password = static_cast<const Secret*>(secret)->reveal();
  const int length = std::min(size, static_cast<int>(password.size()));
  std::memcpy(buffer, password.data(), static_cast<std::size_t>(length));
  return length;
}

std::optional<TlsFault> load_authorities(const TlsOptions& options, openssl::Store& store) {
  store.reset(X509_STORE_new());
  if (options.ca_file.empty()) {
    return std::nullopt;
  }
  auto opened = open(options.ca_file);
  if (auto* const fault = std::get_if<std::string>(&opened)) {
    return TlsFault{Part::ca_file, std::move(*fault)};
  }
  if (X509_STORE_load_file(store.get(), options.ca_file.c_str()) != 1) {
    return TlsFault{Part::ca_file,
                    "holds no certificates in PEM form (" + openssl::take_error() + ")"};
  }
  return std::nullopt;
}

std::optional<TlsFault> load_certificate(const TlsOptions& options,
                                         openssl::Certificate& certificate,
                                         std::vector<openssl::Certificate>& chain) {
  auto opened = open(options.certificate_file);
  if (auto* const fault = std::get_if<std::string>(&opened)) {
    return TlsFault{Part::certificate_file, std::move(*fault)};
  }
  BIO* const file = std::get<openssl::Bio>(opened).get();
  certificate.reset(PEM_read_bio_X509_AUX(file, nullptr, nullptr, nullptr));
  if (certificate == nullptr) {
    return TlsFault{Part::certificate_file,
                    "holds no certificate in PEM form (" + openssl::take_error() + ")"};
  }
  while (X509* const next = PEM_read_bio_X509(file, nullptr, nullptr, nullptr)) {
    chain.emplace_back(next);
  }
  static_cast<void>(openssl::take_error());  // the end of the file is one
  return std::nullopt;
}

std::optional<TlsFault> load_key(const TlsOptions& options, const openssl::Certificate& certificate,
                                 openssl::Key& key) {
  auto opened = open(options.key_file);
  if (auto* const fault = std::get_if<std::string>(&opened)) {
    return TlsFault{Part::key_file, std::move(*fault)};
  }
  Secret password = options.key_password;
  key.reset(PEM_read_bio_PrivateKey(std::get<openssl::Bio>(opened).get(), nullptr, &give_password,
                                    &password));
  if (key == nullptr) {
    return TlsFault{Part::key_file,
                    fmt::format("holds no private key in PEM form that {} ({})",
                                password.empty() ? "needs no password"
                                                 : fmt::format("the password of {}_KEY_PASSWORD "
                                                               "opens",
                                                               options.settings),
                                openssl::take_error())};
  }
  if (X509_check_private_key(certificate.get(), key.get()) != 1) {
    static_cast<void>(openssl::take_error());
    return TlsFault{Part::key_file,
                    "is not the key of the certificate in \"" + options.certificate_file + "\""};
  }
  return std::nullopt;
}

/// Changes whenever one of the files does: renewals write new files or move a link.
std::vector<std::int64_t> stamp_of(const TlsOptions& options) {
  std::string authorities = options.ca_file;
  if (authorities.empty()) {
    // NOLINTNEXTLINE(concurrency-mt-unsafe): nobody changes the environment
    const char* const named = std::getenv(X509_get_default_cert_file_env());
    authorities = named != nullptr ? named : X509_get_default_cert_file();
  }
  std::vector<std::int64_t> stamp;
  for (const std::string& path : {authorities, options.certificate_file, options.key_file}) {
    struct stat info {};
    if (!path.empty() && ::stat(path.c_str(), &info) == 0) {
      stamp.insert(stamp.end(), {static_cast<std::int64_t>(info.st_ino), info.st_size,
                                 info.st_mtim.tv_sec, info.st_mtim.tv_nsec});
    } else {
      stamp.push_back(0);
    }
  }
  return stamp;
}

int openssl_version(TlsVersion version) {
  return version == TlsVersion::v1_3 ? TLS1_3_VERSION : TLS1_2_VERSION;
}

}  // namespace

std::variant<TlsMaterial::Loaded, TlsFault> TlsMaterial::Loaded::from(const TlsOptions& options) {
  Loaded loaded;
  auto fault = load_authorities(options, loaded.authorities);
  if (!fault && !options.certificate_file.empty()) {
    fault = load_certificate(options, loaded.certificate, loaded.chain);
    if (!fault) {
      fault = load_key(options, loaded.certificate, loaded.key);
    }
  }
  if (fault) {
    return *std::move(fault);
  }
  return loaded;
}

void TlsMaterial::Loaded::trust_the_system_if_told_nothing(const TlsOptions& options) {
  if (options.ca_file.empty()) {
    X509_STORE_set_default_paths(authorities.get());
  }
}

bool TlsMaterial::Loaded::equip(SSL_CTX* context, TlsVersion least) const {
  SSL_CTX_set1_cert_store(context, authorities.get());
  limit_handshake(context);
  bool equipped = SSL_CTX_set_min_proto_version(context, openssl_version(least)) == 1;
  if (certificate != nullptr) {
    equipped = equipped && SSL_CTX_use_certificate(context, certificate.get()) == 1;
    for (const openssl::Certificate& each : chain) {
      equipped = equipped && SSL_CTX_add1_chain_cert(context, each.get()) == 1;
    }
    equipped = equipped && SSL_CTX_use_PrivateKey(context, key.get()) == 1;
  }
  return equipped;
}

TlsMaterial::TlsMaterial(const TlsOptions& options) : options_(options) {}

TlsMaterial::~TlsMaterial() = default;

bool TlsMaterial::equip(ssl_ctx_st* context) {
  std::shared_ptr<const Loaded> loaded;
  {
    const std::lock_guard lock(mutex_);
    if (auto stamp = stamp_of(options_); stamp != stamp_ || loaded_ == nullptr) {
      stamp_ = std::move(stamp);
      auto fresh = Loaded::from(options_);
      if (const auto* const fault = std::get_if<TlsFault>(&fresh)) {
        if (const auto held_back = faults_.admit(fault->text)) {
          log::warn("tls", "a changed file cannot be used; goes on with what was read before",
                    {{"file", file_of(options_, fault->part)},
                     {"cause", fault->text},
                     {"repeated", *held_back}});
        }
      } else {
        faults_.reset();
        if (loaded_ != nullptr) {
          log::info("tls", "certificates have changed; new connections use them",
                    {{"settings", options_.settings}});
        }
        std::get<Loaded>(fresh).trust_the_system_if_told_nothing(options_);
        loaded_ = std::make_shared<const Loaded>(std::get<Loaded>(std::move(fresh)));
      }
    }
    loaded = loaded_;
  }
  return loaded != nullptr && loaded->equip(context, options_.min_version);
}

const std::string& file_of(const TlsOptions& options, TlsFault::Part part) {
  switch (part) {
    case Part::ca_file:
      return options.ca_file;
    case Part::certificate_file:
      return options.certificate_file;
    case Part::key_file:
      break;
  }
  return options.key_file;
}

std::optional<TlsFault> check_tls_files(const TlsOptions& options) {
  auto loaded = TlsMaterial::Loaded::from(options);
  auto* const fault = std::get_if<TlsFault>(&loaded);
  return fault != nullptr ? std::optional<TlsFault>(std::move(*fault)) : std::nullopt;
}

std::optional<std::chrono::sys_seconds> own_certificate_ends(const TlsOptions& options) {
  openssl::Certificate certificate;
  std::vector<openssl::Certificate> chain;
  std::tm time{};
  if (options.certificate_file.empty() || load_certificate(options, certificate, chain) ||
      ASN1_TIME_to_tm(X509_get0_notAfter(certificate.get()), &time) != 1) {
    return std::nullopt;
  }
  return std::chrono::sys_seconds(std::chrono::seconds(::timegm(&time)));
}

std::string equip_once(const TlsOptions& options, ssl_ctx_st* context) {
  auto read = TlsMaterial::Loaded::from(options);
  if (const auto* const fault = std::get_if<TlsFault>(&read)) {
    return fmt::format("\"{}\" {}", file_of(options, fault->part), fault->text);
  }
  auto& loaded = std::get<TlsMaterial::Loaded>(read);
  loaded.trust_the_system_if_told_nothing(options);
  return loaded.equip(context, options.min_version)
             ? ""
             : "TLS cannot be set up: " + openssl::take_error();
}

void require_tls_version(TlsVersion least) {
  // OpenSSL's defaults for every context of the process, in the form of its configuration file
  // (config(5), "SSL Configuration").
  const std::string text = fmt::format(
      "m2b = modules\n[modules]\nssl_conf = ssl\n[ssl]\nsystem_default = all\n[all]\n"
      "MinProtocol = {}\n",
      least == TlsVersion::v1_3 ? "TLSv1.3" : "TLSv1.2");
  // First the machine's own settings, or OpenSSL would put them in place of ours later on.
  OPENSSL_init_ssl(OPENSSL_INIT_LOAD_CONFIG, nullptr);
  const openssl::Bio source(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
  const Handle<CONF, &NCONF_free> settings(NCONF_new(nullptr));
  if (source == nullptr || settings == nullptr ||
      NCONF_load_bio(settings.get(), source.get(), nullptr) != 1 ||
      CONF_modules_load(settings.get(), "m2b", 0) != 1) {
    throw std::runtime_error("the least TLS version cannot be set: " + openssl::take_error());
  }
}

}  // namespace m2b
