#include "config/values.hpp"

#include <algorithm>
#include <charconv>
#include <limits>
#include <span>
#include <system_error>

#include "m2b/util/ascii.hpp"

namespace m2b::config {
namespace {

struct Unit {
  std::string_view suffix;
  std::uint64_t factor;
};

constexpr Unit kDurationUnits[] = {{"ms", 1},     {"", 1000},       {"s", 1000},
                                   {"m", 60'000}, {"h", 3'600'000}, {"d", 86'400'000}};

constexpr Unit kSizeUnits[] = {{"", 1},
                               {"KiB", std::uint64_t{1} << 10},
                               {"MiB", std::uint64_t{1} << 20},
                               {"GiB", std::uint64_t{1} << 30},
                               {"TiB", std::uint64_t{1} << 40},
                               {"kB", 1'000},
                               {"MB", 1'000'000},
                               {"GB", 1'000'000'000},
                               {"TB", 1'000'000'000'000}};

/// Digits with one of the units after them, at most `max`.
std::optional<std::uint64_t> parse_with_unit(std::string_view text, std::span<const Unit> units,
                                             std::uint64_t max) {
  std::uint64_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc{}) {
    return std::nullopt;
  }
  const std::string_view suffix(rest, static_cast<std::size_t>(end - rest));
  const auto unit = std::ranges::find(units, suffix, &Unit::suffix);
  if (unit == units.end() || number > max / unit->factor) {
    return std::nullopt;
  }
  return number * unit->factor;
}

}  // namespace

std::optional<bool> parse_bool(std::string_view text) {
  const std::string lower = ascii_lower(text);
  if (lower == "true" || lower == "1" || lower == "yes" || lower == "on") {
    return true;
  }
  if (lower == "false" || lower == "0" || lower == "no" || lower == "off") {
    return false;
  }
  return std::nullopt;
}

std::optional<std::uint64_t> parse_number(std::string_view text, std::uint64_t min,
                                          std::uint64_t max) {
  constexpr Unit kNoUnit[] = {{"", 1}};
  const auto number = parse_with_unit(text, kNoUnit, max);
  return number && *number >= min ? number : std::nullopt;
}

std::optional<std::chrono::milliseconds> parse_duration(std::string_view text,
                                                        std::chrono::milliseconds min,
                                                        std::chrono::milliseconds max) {
  const auto count = parse_with_unit(text, kDurationUnits, static_cast<std::uint64_t>(max.count()));
  if (!count) {
    return std::nullopt;
  }
  const std::chrono::milliseconds duration(*count);
  return duration >= min ? std::optional(duration) : std::nullopt;
}

std::optional<std::chrono::seconds> parse_seconds(std::string_view text, std::chrono::seconds min,
                                                  std::chrono::seconds max) {
  const auto duration = parse_duration(text, min, max);
  if (!duration || *duration % std::chrono::seconds(1) != std::chrono::milliseconds(0)) {
    return std::nullopt;
  }
  return std::chrono::duration_cast<std::chrono::seconds>(*duration);
}

std::optional<std::uint64_t> parse_size(std::string_view text, std::uint64_t min,
                                        std::uint64_t max) {
  const auto size = parse_with_unit(text, kSizeUnits, max);
  return size && *size >= min ? size : std::nullopt;
}

}  // namespace m2b::config
