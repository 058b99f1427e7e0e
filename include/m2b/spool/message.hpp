#pragma once

#include <chrono>
#include <cstdint>
#include <string_view>

namespace m2b {

/// Milliseconds since 1970, the clock of records.
using WallTime = std::chrono::sys_time<std::chrono::milliseconds>;

[[nodiscard]] inline WallTime wall_now() {
  return std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now());
}

/// A message as it came from the broker. Topic and payload are borrowed.
struct MessageView {
  std::string_view topic;
  std::string_view payload;
  WallTime received_at;
  std::uint8_t qos = 0;
  bool retained = false;
  bool duplicate = false;  // the broker's DUP flag
};

/// Identity of a record: given in order of arrival, never given twice in the life of a spool.
enum class SpoolId : std::uint64_t {};

[[nodiscard]] constexpr std::uint64_t to_number(SpoolId id) noexcept {
  return static_cast<std::uint64_t>(id);
}

}  // namespace m2b
