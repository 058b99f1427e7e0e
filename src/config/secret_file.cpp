#include "config/secret_file.hpp"

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <memory>
#include <system_error>

namespace m2b::config {
namespace {

/// More than any secret has; a path to something endless must not fill the memory.
constexpr std::size_t kMaxSecretBytes = std::size_t{128} << 10;

struct FileCloser {
  void operator()(std::FILE* file) const noexcept { std::fclose(file); }
};

Fault unreadable(int error) {
  return Fault{"cannot be read: " + std::generic_category().message(error)};
}

}  // namespace

Parsed<std::string> read_secret_file(const std::string& path) {
  const std::unique_ptr<std::FILE, FileCloser> file(std::fopen(path.c_str(), "rbe"));
  if (!file) {
    return unreadable(errno);
  }
  std::string secret;
  std::array<char, 4096> piece{};
  while (const std::size_t count = std::fread(piece.data(), 1, piece.size(), file.get())) {
    secret.append(piece.data(), count);
    if (secret.size() > kMaxSecretBytes) {
      return Fault{"is too long for a file that holds a secret"};
    }
  }
  if (std::ferror(file.get()) != 0) {
    return unreadable(errno);
  }
  while (secret.ends_with('\n') || secret.ends_with('\r')) {
    secret.pop_back();
  }
  if (secret.empty()) {
    return Fault{"is an empty file"};
  }
  return secret;
}

}  // namespace m2b::config
