#pragma once

#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <variant>

#include "m2b/util/repetition.hpp"
#include "m2b/util/secret.hpp"

namespace m2b {

/// What requests to the store are signed with.
struct Credentials {
  std::string access_key;
  Secret secret_key;
  Secret session_token;  // of temporary credentials; empty: none

  [[nodiscard]] bool operator==(const Credentials& other) const noexcept;
};

/// The files that credentials come from; an empty path: not from a file.
struct CredentialFiles {
  std::string access_key = {};
  std::string secret_key = {};
  std::string session_token = {};
  /// The AWS tools' file of credentials, which then holds all three.
  std::string shared = {};
  std::string profile = "default";  // of the shared file

  [[nodiscard]] bool any() const noexcept;
};

/// Visible ASCII without comma: it becomes part of a header, in which a comma ends it.
[[nodiscard]] bool is_access_key(std::string_view text) noexcept;
/// No control characters.
[[nodiscard]] bool is_secret_key(std::string_view text);

/// The given credentials with what comes from files in place; or why the files cannot serve, with
/// their names and no secret.
[[nodiscard]] std::variant<Credentials, std::string> read_credentials(const Credentials& given,
                                                                      const CredentialFiles& files);

/// The credentials in use, read again when their files changed, so that keys can be replaced
/// without a restart. Thread-safe.
class CredentialsSource {
 public:
  using Clock = std::chrono::steady_clock;

  /// `trust_time` is how old what is known of the files may be, and `refusal_pause` the shortest
  /// time between two looks because of a refusal.
  CredentialsSource(const Credentials& given, const CredentialFiles& files,
                    Clock::duration trust_time = std::chrono::seconds(5),
                    Clock::duration refusal_pause = std::chrono::seconds(1));

  /// What to sign with now; never null. Without a change it is the same object as before.
  [[nodiscard]] std::shared_ptr<const Credentials> current();

  /// The store refused what was signed with `used`. True when there are others by now.
  [[nodiscard]] bool refused(const Credentials& used);

  /// Somebody says that the files have changed.
  void read_again();

 private:
  /// With the mutex held. Files that cannot be read leave everything as it is, which is logged.
  void look(Clock::duration least_age);

  const Credentials given_;
  const CredentialFiles files_;
  const Clock::duration trust_time_;
  const Clock::duration refusal_pause_;
  Repetition faults_;
  std::mutex mutex_;  // guards the fields below
  std::shared_ptr<const Credentials> current_;
  Clock::time_point looked_at_;
};

}  // namespace m2b
