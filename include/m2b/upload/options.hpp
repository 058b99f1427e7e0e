#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "m2b/tls/options.hpp"
#include "m2b/upload/credentials.hpp"

namespace m2b {

/// How to reach the store. Validated by the configuration.
struct StoreOptions {
  std::string host;                     // DNS name or IP address, IPv6 in brackets
  std::uint16_t port = 0;               // always set
  bool secure = true;                   // HTTPS with the certificate verified
  TlsOptions tls{.settings = "STORE"};  // of HTTPS
  Credentials credentials;
  CredentialFiles credential_files;  // where they came from, if from files
  std::string bucket;
  std::string region = "us-east-1";  // MinIO's default
  std::chrono::milliseconds connect_timeout{5000};
  /// A transfer on which less than a byte a second moves for so long is given up and retried, and
  /// so is one whose answer is not complete so long (and connect_timeout) after all was sent.
  std::chrono::seconds stall_timeout{30};
  /// Bytes of bodies a second, of all connections together; 0: no limit. For BandwidthLimit.
  std::uint64_t bandwidth_limit = 0;
};

}  // namespace m2b
