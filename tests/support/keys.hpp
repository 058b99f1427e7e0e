#pragma once

#include <string>
#include <variant>

#include "m2b/encryption/key_ring.hpp"

namespace m2b::test {

/// The bytes 0 to 31; its id is 9f1af927.
inline const std::string kOneKey = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
/// 32 times 7.
inline const std::string kAnotherKey = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";

[[nodiscard]] inline KeyRing key_ring(const std::string& text) {
  return std::get<KeyRing>(KeyRing::parse(text));
}

}  // namespace m2b::test
