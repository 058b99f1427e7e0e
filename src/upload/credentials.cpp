#include "m2b/upload/credentials.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "m2b/util/log.hpp"
#include "m2b/util/secret_file.hpp"
#include "m2b/util/typed_text.hpp"
#include "upload/shared_credentials.hpp"

namespace m2b {
namespace {

/// What is wrong with a file, after its name; empty when `into` has its secret.
std::string read_into(Secret& into, const std::string& path) {
  auto read = read_secret_file(path);
  if (auto* const fault = std::get_if<SecretFileFault>(&read)) {
    return fmt::format("\"{}\" {}", path, fault->text);
  }
  into = std::get<Secret>(std::move(read));
  return {};
}

std::string check(const Credentials& credentials) {
  if (!is_access_key(credentials.access_key)) {
    return "the access key must be visible ASCII characters without comma";
  }
  if (!is_secret_key(credentials.secret_key.reveal())) {
    return "the secret key must be text without control characters";
  }
  // Goes into a header as it is.
  if (!credentials.session_token.empty() && !is_access_key(credentials.session_token.reveal())) {
    return "the session token must be visible ASCII characters";
  }
  return {};
}

std::variant<Credentials, std::string> read_shared(const CredentialFiles& files) {
  Secret content;
  if (std::string fault = read_into(content, files.shared); !fault.empty()) {
    return fault;
  }
  auto parsed = parse_shared_credentials(content.reveal(), files.profile);
  if (auto* const fault = std::get_if<std::string>(&parsed)) {
    return fmt::format("\"{}\" {}", files.shared, *fault);
  }
  return parsed;
}

}  // namespace

bool Credentials::operator==(const Credentials& other) const noexcept {
  return access_key == other.access_key && secret_key.reveal() == other.secret_key.reveal() &&
         session_token.reveal() == other.session_token.reveal();
}

bool CredentialFiles::any() const noexcept {
  return !access_key.empty() || !secret_key.empty() || !session_token.empty() || !shared.empty();
}

bool is_access_key(std::string_view text) noexcept {
  return !text.empty() && std::ranges::all_of(text, [](char byte) {
    return byte > ' ' && byte <= '~' && byte != ',';
  });
}

bool is_secret_key(std::string_view text) {
  return !text.empty() && control_character_in(text).empty();
}

std::variant<Credentials, std::string> read_credentials(const Credentials& given,
                                                        const CredentialFiles& files) {
  Credentials credentials = given;
  if (!files.shared.empty()) {
    auto shared = read_shared(files);
    if (auto* const fault = std::get_if<std::string>(&shared)) {
      return std::move(*fault);
    }
    credentials = std::get<Credentials>(std::move(shared));
  }
  Secret access_key(credentials.access_key);
  const std::pair<Secret*, const std::string*> parts[] = {
      {&access_key, &files.access_key},
      {&credentials.secret_key, &files.secret_key},
      {&credentials.session_token, &files.session_token},
  };
  for (const auto& [into, path] : parts) {
    if (path->empty()) {
      continue;
    }
    if (std::string fault = read_into(*into, *path); !fault.empty()) {
      return fault;
    }
  }
  credentials.access_key = access_key.reveal();
  if (std::string fault = check(credentials); !fault.empty()) {
    return fault;
  }
  return credentials;
}

CredentialsSource::CredentialsSource(const Credentials& given, const CredentialFiles& files,
                                     Clock::duration trust_time, Clock::duration refusal_pause)
    : given_(given),
      files_(files),
      trust_time_(trust_time),
      refusal_pause_(refusal_pause),
      current_(std::make_shared<const Credentials>(given)),
      looked_at_(Clock::now()) {}

std::shared_ptr<const Credentials> CredentialsSource::current() {
  const std::lock_guard lock(mutex_);
  look(trust_time_);
  return current_;
}

bool CredentialsSource::refused(const Credentials& used) {
  const std::lock_guard lock(mutex_);
  look(refusal_pause_);
  return *current_ != used;
}

void CredentialsSource::read_again() {
  const std::lock_guard lock(mutex_);
  look(Clock::duration::zero());
}

void CredentialsSource::look(Clock::duration least_age) {
  const Clock::time_point now = Clock::now();
  if (!files_.any() || now - looked_at_ < least_age) {
    return;
  }
  looked_at_ = now;
  auto read = read_credentials(given_, files_);
  if (const auto* const fault = std::get_if<std::string>(&read)) {
    if (const auto held_back = faults_.admit(*fault)) {
      log::warn("upload", "the store's credentials cannot be read again; goes on with those in use",
                {{"cause", *fault}, {"repeated", *held_back}});
    }
    return;
  }
  faults_.reset();
  if (auto& fresh = std::get<Credentials>(read); fresh != *current_) {
    log::info("upload", "the store's credentials have changed in their files; uses the new ones",
              {{"access_key", fresh.access_key}});
    current_ = std::make_shared<const Credentials>(std::move(fresh));
  }
}

}  // namespace m2b
