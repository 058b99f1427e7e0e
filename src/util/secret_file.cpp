#include "m2b/util/secret_file.hpp"

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <system_error>
#include <utility>

#include "m2b/util/handle.hpp"

namespace m2b {
namespace {

/// More than any secret has; a path to something endless must not fill the memory.
constexpr std::size_t kMaxSecretBytes = std::size_t{128} << 10;

SecretFileFault unreadable(int error) {
  return {"cannot be read: " + std::generic_category().message(error)};
}

}  // namespace

std::variant<Secret, SecretFileFault> read_secret_file(const std::string& path) {
  const Handle<std::FILE, &std::fclose> file(std::fopen(path.c_str(), "rbe"));
  if (!file) {
    return unreadable(errno);
  }
  std::string secret;
  std::array<char, 4096> piece{};
  while (const std::size_t count = std::fread(piece.data(), 1, piece.size(), file.get())) {
    secret.append(piece.data(), count);
    if (secret.size() > kMaxSecretBytes) {
      return SecretFileFault{"is too long for a file that holds a secret"};
    }
  }
  if (std::ferror(file.get()) != 0) {
    return unreadable(errno);
  }
  while (secret.ends_with('\n') || secret.ends_with('\r')) {
    secret.pop_back();
  }
  if (secret.empty()) {
    return SecretFileFault{"is an empty file"};
  }
  return Secret(std::move(secret));
}

}  // namespace m2b
