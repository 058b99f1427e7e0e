#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "m2b/tls/options.hpp"
#include "m2b/util/repetition.hpp"

struct ssl_ctx_st;  // OpenSSL's SSL_CTX

namespace m2b {

/// A file of a TlsOptions that cannot serve.
struct TlsFault {
  enum class Part { ca_file, certificate_file, key_file };
  Part part = Part::ca_file;
  std::string text;  // what is wrong, to follow the file's name
};

/// The path of the file that a fault is about.
[[nodiscard]] const std::string& file_of(const TlsOptions& options, TlsFault::Part part);

/// Whether the files can be read and belong together; nothing when they can.
[[nodiscard]] std::optional<TlsFault> check_tls_files(const TlsOptions& options);

/// When our own certificate ends, by its file as it is now; nothing where there is none, or none
/// that can be read.
[[nodiscard]] std::optional<std::chrono::sys_seconds> own_certificate_ends(
    const TlsOptions& options);

/// What TlsMaterial::equip() does, for one context and from the files as they are now. Empty when
/// it is done, otherwise why not, with the file's name.
[[nodiscard]] std::string equip_once(const TlsOptions& options, ssl_ctx_st* context);

/// From here on no connection of this process speaks an older version: what a library does not let
/// us say for itself. Once, before the first connection. Throws std::runtime_error.
void require_tls_version(TlsVersion least);

/// Certificates and key as OpenSSL has them, read once for all connections, and again when a file
/// changed: a renewed certificate needs no restart. Thread-safe.
class TlsMaterial {
 public:
  /// The options outlive this. Reads nothing yet.
  explicit TlsMaterial(const TlsOptions& options);
  ~TlsMaterial();
  TlsMaterial(const TlsMaterial&) = delete;
  TlsMaterial& operator=(const TlsMaterial&) = delete;

  /// Gives a context the authorities, our certificate, the least version and limit_handshake().
  /// Files that cannot be read any more are a warning, and what was read before goes on to serve;
  /// false when nothing was.
  [[nodiscard]] bool equip(ssl_ctx_st* context);

  friend std::optional<TlsFault> check_tls_files(const TlsOptions& options);
  friend std::string equip_once(const TlsOptions& options, ssl_ctx_st* context);

 private:
  struct Loaded;

  const TlsOptions& options_;
  Repetition faults_;
  std::mutex mutex_;                 // guards the fields below
  std::vector<std::int64_t> stamp_;  // of the files, as of the last look
  std::shared_ptr<const Loaded> loaded_;
};

}  // namespace m2b
