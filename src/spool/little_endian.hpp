#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>

/// Integers on disk are little-endian, whatever the machine.
namespace m2b {

template <std::unsigned_integral Number>
void store_le(char* to, Number value) noexcept {
  for (std::size_t i = 0; i < sizeof(Number); ++i) {
    to[i] = static_cast<char>(static_cast<unsigned char>(value >> (8 * i)));
  }
}

template <std::unsigned_integral Number>
[[nodiscard]] Number load_le(const char* from) noexcept {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < sizeof(Number); ++i) {
    value |= std::uint64_t{static_cast<unsigned char>(from[i])} << (8 * i);
  }
  return static_cast<Number>(value);
}

}  // namespace m2b
