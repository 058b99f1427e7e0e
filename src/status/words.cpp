#include "status/words.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstddef>

namespace m2b::words {

std::string count(std::uint64_t number) {
  std::string digits = std::to_string(number);
  for (std::size_t at = digits.size(); at > 3;) {
    at -= 3;
    digits.insert(at, 1, ',');
  }
  return digits;
}

std::string count(std::uint64_t number, std::string_view one, std::string_view many) {
  return fmt::format("{} {}", count(number), number == 1 ? one : many);
}

std::string bytes(double number) {
  constexpr std::array kUnits{"B", "kB", "MB", "GB", "TB", "PB"};
  constexpr double kStep = 1000;
  constexpr double kRoundsUp = 999.5;
  std::size_t unit = 0;
  while (number >= kRoundsUp && unit + 1 < kUnits.size()) {
    number /= kStep;
    ++unit;
  }
  constexpr double kTwoDigits = 9.95;
  return number < kTwoDigits && unit > 0 ? fmt::format("{:.1f} {}", number, kUnits.at(unit))
                                         : fmt::format("{:.0f} {}", number, kUnits.at(unit));
}

std::string byte_range(std::uint64_t from, std::uint64_t to) {
  const std::string first = bytes(static_cast<double>(from));
  const std::string last = bytes(static_cast<double>(to));
  const std::size_t unit = first.find(' ');
  const bool have_one_unit = last.ends_with(std::string_view(first).substr(unit));
  return fmt::format("{} to {}", have_one_unit ? first.substr(0, unit) : first, last);
}

std::string duration(std::chrono::seconds span) {
  using namespace std::chrono;
  const auto total = std::max(span, seconds(0));
  const auto of_two = [](auto large, std::string_view large_unit, auto small,
                         std::string_view small_unit) {
    return small == 0 ? fmt::format("{} {}", large, large_unit)
                      : fmt::format("{} {} {} {}", large, large_unit, small, small_unit);
  };
  if (total < minutes(1)) {
    return fmt::format("{} s", total.count());
  }
  if (total < hours(1)) {
    const auto whole = duration_cast<minutes>(total);
    return total < minutes(3) ? of_two(whole.count(), "min", (total - whole).count(), "s")
                              : fmt::format("{} min", whole.count());
  }
  if (total < days(1)) {
    const auto whole = duration_cast<hours>(total);
    return of_two(whole.count(), "h", duration_cast<minutes>(total - whole).count(), "min");
  }
  const auto whole = duration_cast<days>(total);
  return of_two(whole.count(), "d", duration_cast<hours>(total - whole).count(), "h");
}

std::string per_second(double rate) {
  constexpr double kNothing = 0.005;
  constexpr double kOneDigit = 0.995;
  constexpr double kNoDigit = 9.95;
  if (rate < kNothing) {
    return "0";
  }
  return rate < kOneDigit  ? fmt::format("{:.2f}", rate)
         : rate < kNoDigit ? fmt::format("{:.1f}", rate)
                           : fmt::format("{:.0f}", rate);
}

std::string time(std::chrono::sys_time<std::chrono::milliseconds> at) {
  return fmt::format("{:%Y-%m-%d %H:%M:%S} UTC", std::chrono::floor<std::chrono::seconds>(at));
}

}  // namespace m2b::words
