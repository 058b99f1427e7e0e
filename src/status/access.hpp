#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "m2b/status/options.hpp"
#include "m2b/util/secret.hpp"

namespace m2b {

/// What of a request decides who asks. Empty where it has none.
struct Caller {
  std::string_view host = {};           // Host
  std::string_view authorization = {};  // Authorization
  std::string_view origin = {};         // Origin
  std::string_view fetch_site = {};     // Sec-Fetch-Site
  std::string_view content_type = {};   // Content-Type
};

/// Why a request is not granted: an HTTP status, with a line for whoever asked.
struct Denial {
  int status = 0;
  std::string_view reason;
};

/// Who may see and do what at the status listener (docs/status.md). Pure.
class Access {
 public:
  explicit Access(const StatusOptions& options) : Access(options, options.token) {}
  /// With the token of this moment in place of the one at the start.
  Access(const StatusOptions& options, Secret token)
      : token_(std::move(token)), is_loopback_(is_loopback(options)) {}

  /// The page and what it says in its own words. On the loopback the request must have come to a
  /// name of the loopback: a site whose name is made to point there (DNS rebinding) sees nothing.
  [[nodiscard]] std::optional<Denial> denial_of_page(const Caller& caller) const;
  /// What messages hold: payloads and pictures.
  [[nodiscard]] std::optional<Denial> denial_of_content(const Caller& caller) const;
  /// Replay and drop.
  [[nodiscard]] std::optional<Denial> denial_of_action(const Caller& caller) const;

  [[nodiscard]] bool has_token() const noexcept { return !token_.empty(); }
  /// Whether content can be seen at all, with a token or without.
  [[nodiscard]] bool shows_content() const noexcept { return has_token() || is_loopback_; }

 private:
  [[nodiscard]] bool knows_token(const Caller& caller) const noexcept;

  const Secret token_;
  const bool is_loopback_;
};

/// Takes as long for texts that differ early as for those that differ late.
[[nodiscard]] bool is_equal_in_constant_time(std::string_view given,
                                             std::string_view expected) noexcept;

}  // namespace m2b
