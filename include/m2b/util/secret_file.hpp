#pragma once

#include <string>
#include <variant>

#include "m2b/util/secret.hpp"

namespace m2b {

/// Why a file's secret cannot be had, to follow the file's name: "cannot be read: …".
struct SecretFileFault {
  std::string text;
};

/// What a file made for one secret holds (Docker's and Kubernetes's form), without the line ends
/// after it. UTF-16 and a byte order mark are faults.
[[nodiscard]] std::variant<Secret, SecretFileFault> read_secret_file(const std::string& path);

}  // namespace m2b
