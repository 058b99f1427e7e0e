#pragma once

#include <string.h>

#include <string>

namespace m2b {

/// A password or key. It has no conversion to text and no stream operator, so it cannot end up in a
/// log line or an error message by accident; whoever needs the bytes has to say so. Its bytes are
/// overwritten when it goes or gets another value.
class Secret {
 public:
  Secret() = default;
  explicit Secret(std::string value) { take(value); }
  Secret(const Secret&) = default;
  Secret(Secret&& other) noexcept { take(other.value_); }
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
      take(other.value_);
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
  /// Into an empty secret. A short text stays behind in the one that it is taken from.
  void take(std::string& text) noexcept {
    value_.swap(text);
    wipe(text);
  }

  std::string value_;
};

}  // namespace m2b
