#include "m2b/util/secret_file.hpp"

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <string_view>
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

/// Of a file that an editor or shell of Windows wrote; empty: none.
std::string_view encoding_fault(std::string_view content) {
  if (content.starts_with("\xff\xfe") || content.starts_with("\xfe\xff")) {
    return "is UTF-16, as PowerShell's > writes it: save it as UTF-8 without a byte order mark";
  }
  if (content.starts_with("\xef\xbb\xbf")) {
    return "begins with a byte order mark: save it as UTF-8 without one";
  }
  return {};
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
  if (const std::string_view fault = encoding_fault(secret); !fault.empty()) {
    Secret::wipe(secret);
    return SecretFileFault{std::string(fault)};
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
