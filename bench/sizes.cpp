#include "bench/sizes.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <optional>
#include <stdexcept>
#include <string_view>

#include <fmt/format.h>

#include "bench/pictures.hpp"

namespace m2b::bench {
namespace {

struct Unit {
  std::string_view name;
  std::uint64_t bytes;
};

constexpr std::array kUnits{Unit{"", 1}, Unit{"B", 1}, Unit{"KiB", std::uint64_t{1} << 10},
                            Unit{"MiB", std::uint64_t{1} << 20},
                            Unit{"GiB", std::uint64_t{1} << 30}};

/// Nothing when it is no number with one of the units.
std::optional<std::uint64_t> bytes_in(const std::string& text) {
  const char* const end = text.data() + text.size();
  std::uint64_t number = 0;
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc()) return std::nullopt;
  const std::string_view name(rest, static_cast<std::size_t>(end - rest));
  for (const Unit& unit : kUnits) {
    if (unit.name != name) continue;
    if (number > std::numeric_limits<std::uint64_t>::max() / unit.bytes) return std::nullopt;
    return number * unit.bytes;
  }
  return std::nullopt;
}

}  // namespace

std::size_t parse_size(const std::string& text) {
  const auto bytes = bytes_in(text);
  if (!bytes || *bytes > kMaxPictureBytes || *bytes < kMinPictureBytes) {
    throw std::invalid_argument(
        fmt::format("'{}' is no size of a picture; give bytes, KiB or MiB between {} and {}, such "
                    "as 100KiB",
                    text, size_text(kMinPictureBytes), size_text(kMaxPictureBytes)));
  }
  return *bytes;
}

std::uint64_t parse_bytes(const std::string& text, std::uint64_t min) {
  const auto bytes = bytes_in(text);
  if (!bytes || *bytes < min) {
    throw std::invalid_argument(
        fmt::format("'{}' is no size of at least {}; give bytes, KiB, MiB or GiB, such as 10GiB",
                    text, size_text(min)));
  }
  return *bytes;
}

std::string size_text(std::size_t bytes) {
  const auto unit = std::find_if(kUnits.rbegin(), kUnits.rend(), [&](const Unit& one) {
    return bytes >= one.bytes && bytes % one.bytes == 0;
  });
  return unit == kUnits.rend() ? "0B" : fmt::format("{}{}", bytes / unit->bytes, unit->name);
}

}  // namespace m2b::bench
