#include "tools/text.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <array>
#include <chrono>

namespace m2b::text {

std::string time(WallTime time) {
  if (time == WallTime{}) {
    return "";
  }
  const std::time_t seconds =
      std::chrono::floor<std::chrono::seconds>(time).time_since_epoch().count();
  constexpr std::time_t kEndOf9999 = 253'402'300'799;  // a damaged time may be any
  return seconds < 0 || seconds > kEndOf9999
             ? "?"
             : fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(seconds));
}

std::string size(std::uint64_t bytes) {
  constexpr double kStep = 1024;
  constexpr std::array kUnits{"KiB", "MiB", "GiB", "TiB"};
  if (bytes < 1024) {
    return fmt::format("{} B", bytes);
  }
  double value = static_cast<double>(bytes) / kStep;
  std::size_t unit = 0;
  while (value >= kStep && unit + 1 < kUnits.size()) {
    value /= kStep;
    ++unit;
  }
  return fmt::format("{:.1f} {}", value, kUnits[unit]);
}

}  // namespace m2b::text
