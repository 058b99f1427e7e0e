#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

/// Texts to values, without the environment and without state. A text that is not wholly the value
/// (blanks around it, a sign, a fraction) is refused. Units are read in any case, except where that
/// could be another unit.
namespace m2b::config {

/// What is wrong with a text, to follow its name: "must be …".
struct Fault {
  std::string text;
};

template <class T>
using Parsed = std::variant<T, Fault>;

/// True/False, yes/no, on/off, 1/0, in any case.
[[nodiscard]] std::optional<bool> parse_bool(std::string_view text);

/// Decimal digits only, from `min` to `max`.
[[nodiscard]] std::optional<std::uint64_t> parse_number(std::string_view text, std::uint64_t min,
                                                        std::uint64_t max);

/// `500ms`, `8s`, `5m`, `12h`, `30d`, also as `5 min` or `30 days`; a bare number is seconds. `M`
/// is refused, which might be months.
[[nodiscard]] std::optional<std::chrono::milliseconds> parse_duration(
    std::string_view text, std::chrono::milliseconds min, std::chrono::milliseconds max);

/// The same for what can only be set to the second.
[[nodiscard]] std::optional<std::chrono::seconds> parse_seconds(std::string_view text,
                                                                std::chrono::seconds min,
                                                                std::chrono::seconds max);

/// Bytes: `1048576`, binary `64KiB` `MiB` `GiB` `TiB` (or `64Ki` …), decimal `64kB` `MB` `GB` `TB`.
/// `M` is refused, which is a million to some and 1048576 to others, and so is `Mb`, which is bits.
[[nodiscard]] std::optional<std::uint64_t> parse_size(std::string_view text, std::uint64_t min,
                                                      std::uint64_t max);

}  // namespace m2b::config
