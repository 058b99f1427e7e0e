#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "m2b/util/secret.hpp"

namespace m2b {

enum class TlsVersion : std::uint8_t { v1_2, v1_3 };

/// What the TLS connections to one peer are made with. Its certificate is always verified.
struct TlsOptions {
  std::string ca_file = {};  // PEM, who may vouch for the peer; empty: whom the system trusts
  std::string certificate_file =
      {};                     // PEM, ours and its chain, for peers that ask for one; empty: none
  std::string key_file = {};  // PEM, the key of our certificate
  Secret key_password = {};   // of the key; empty: it has none
  std::string server_name =
      {};  // what the peer's certificate must name; empty: the host that we call
  TlsVersion min_version = TlsVersion::v1_2;
  std::string_view settings = "";  // how the names of its settings begin, for messages
};

}  // namespace m2b
