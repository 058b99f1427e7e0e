#pragma once

#include <string.h>

#include <string>
#include <utility>

namespace m2b {

/// A password or key. It has no conversion to text and no stream operator, so it cannot end up in a
/// log line or an error message by accident; whoever needs the bytes has to say so. Its bytes are
/// overwritten when it goes or gets another value.
class Secret {
 public:
  Secret() = default;
  explicit Secret(std::string value) : value_(std::move(value)) { wipe(value); }
  Secret(const Secret&) = default;
  Secret(Secret&& other) noexcept : value_(std::move(other.value_)) { wipe(other.value_); }
  Secret& operator=(const Secret& other) {
    if (this != &other) {
      wipe(value_);
      value_ = other.value_;
    }
    return *this;
  }
  Secret& operator=(Secret&& other) noexcept {
    if (this != &other) {
      wipe(value_);
      value_ = std::move(other.value_);
      wipe(other.value_);
    }
    return *this;
  }
  ~Secret() { wipe(value_); }

  /// The bytes themselves, for the library call that logs in or signs.
  [[nodiscard]] const std::string& reveal() const noexcept { return value_; }
  [[nodiscard]] bool empty() const noexcept { return value_.empty(); }

  /// Overwrites all that the text has room for, and leaves it empty. For copies that could not be
  /// avoided.
  static void wipe(std::string& text) noexcept {
    text.resize(text.capacity());
    ::explicit_bzero(text.data(), text.size());
    text.clear();
  }

 private:
  std::string value_;
};

}  // namespace m2b
