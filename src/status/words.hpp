#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

/// Numbers as people read them on the status page. Pure.
namespace m2b::words {

/// `4,211`
[[nodiscard]] std::string count(std::uint64_t number);

/// `1 picture`, `4,211 pictures`
[[nodiscard]] std::string count(std::uint64_t number, std::string_view one, std::string_view many);

/// Decimal: `999 B`, `12 kB`, `1.9 GB`
[[nodiscard]] std::string bytes(double number);

/// `4.2 to 8.4 MB`, `524 kB to 1.0 MB`
[[nodiscard]] std::string byte_range(std::uint64_t from, std::uint64_t to);

/// The two largest units: `45 s`, `12 min`, `3 h 10 min`, `2 d 4 h`
[[nodiscard]] std::string duration(std::chrono::seconds span);

/// `0`, `0.25`, `4.2`, `180`, always a second
[[nodiscard]] std::string per_second(double rate);

/// `2026-11-26 13:05:07 UTC`
[[nodiscard]] std::string time(std::chrono::sys_time<std::chrono::milliseconds> at);

}  // namespace m2b::words
