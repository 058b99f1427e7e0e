#pragma once

#include <string>
#include <utility>

namespace m2b {

/// A password or key. It has no conversion to text and no stream operator, so it cannot end up in a
/// log line or an error message by accident; whoever needs the bytes has to say so.
class Secret {
 public:
  Secret() = default;
  explicit Secret(std::string value) : value_(std::move(value)) {}

  /// The bytes themselves, for the library call that logs in or signs.
  [[nodiscard]] const std::string& reveal() const noexcept { return value_; }
  [[nodiscard]] bool empty() const noexcept { return value_.empty(); }

 private:
  std::string value_;
};

}  // namespace m2b
