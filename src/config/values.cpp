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
  std::string_view suffix;  // in lower case
  std::uint64_t factor;
};

constexpr std::uint64_t kSecond = 1'000;
constexpr std::uint64_t kMinute = 60 * kSecond;
constexpr std::uint64_t kHour = 60 * kMinute;
constexpr std::uint64_t kDay = 24 * kHour;

constexpr Unit kDurationUnits[] = {
    {"ms", 1},        {"msec", 1},          {"", kSecond},     {"s", kSecond},
    {"sec", kSecond}, {"second", kSecond},  {"secs", kSecond}, {"seconds", kSecond},
    {"m", kMinute},   {"min", kMinute},     {"mins", kMinute}, {"minute", kMinute},
    {"h", kHour},     {"minutes", kMinute}, {"hr", kHour},     {"hour", kHour},
    {"hours", kHour}, {"d", kDay},          {"day", kDay},     {"days", kDay}};

constexpr Unit kSizeUnits[] = {{"", 1},
                               {"b", 1},
                               {"ki", std::uint64_t{1} << 10},
                               {"kib", std::uint64_t{1} << 10},
                               {"mi", std::uint64_t{1} << 20},
                               {"mib", std::uint64_t{1} << 20},
                               {"gi", std::uint64_t{1} << 30},
                               {"gib", std::uint64_t{1} << 30},
                               {"ti", std::uint64_t{1} << 40},
                               {"tib", std::uint64_t{1} << 40},
                               {"kb", 1'000},
                               {"mb", 1'000'000},
                               {"gb", 1'000'000'000},
                               {"tb", 1'000'000'000'000}};

/// `Mb` and `b` are bits to whoever tells the two apart; `mb` is written by those who do not.
bool is_bits(std::string_view suffix) {
  return suffix == "b" || (suffix.ends_with('b') && suffix != ascii_lower(suffix));
}

/// Months, for whoever writes minutes as `m`.
bool is_months(std::string_view suffix) { return suffix == "M"; }

/// Digits with one of the units after them, at most `max`.
std::optional<std::uint64_t> parse_with_unit(std::string_view text, std::span<const Unit> units,
                                             std::uint64_t max) {
  std::uint64_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc{}) {
    return std::nullopt;
  }
  const std::string_view behind(rest, static_cast<std::size_t>(end - rest));
  const std::string_view suffix =
      behind.substr(std::min(behind.find_first_not_of(' '), behind.size()));
  const bool blank_at_end = suffix.empty() && !behind.empty();
  const auto unit = std::ranges::find(units, ascii_lower(suffix), &Unit::suffix);
  if (blank_at_end || unit == units.end() || number > max / unit->factor) {
    return std::nullopt;
  }
  return number * unit->factor;
}

/// What follows the digits.
std::string_view unit_of(std::string_view text) {
  return text.substr(std::min(text.find_first_not_of("0123456789 "), text.size()));
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
  if (is_months(unit_of(text))) {
    return std::nullopt;
  }
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
  if (is_bits(unit_of(text))) {
    return std::nullopt;
  }
  const auto size = parse_with_unit(text, kSizeUnits, max);
  return size && *size >= min ? size : std::nullopt;
}

}  // namespace m2b::config
