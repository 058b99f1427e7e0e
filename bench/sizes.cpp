#include "bench/sizes.hpp"

#include <charconv>
#include <stdexcept>
#include <string_view>

#include <fmt/format.h>

#include "bench/pictures.hpp"

namespace m2b::bench {
namespace {

constexpr std::size_t kKi = 1024;
constexpr std::size_t kMi = kKi * kKi;

/// 0 for none that we know.
std::size_t factor_of(std::string_view unit) {
  if (unit.empty() || unit == "B") return 1;
  if (unit == "KiB") return kKi;
  if (unit == "MiB") return kMi;
  return 0;
}

}  // namespace

std::size_t parse_size(const std::string& text) {
  const char* const end = text.data() + text.size();
  std::size_t number = 0;
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  const std::size_t factor =
      error == std::errc() ? factor_of({rest, static_cast<std::size_t>(end - rest)}) : 0;
  if (factor == 0 || number > kMaxPictureBytes / factor || number * factor < kMinPictureBytes) {
    throw std::invalid_argument(
        fmt::format("'{}' is no size of a picture; give bytes, KiB or MiB between {} and {}, such "
                    "as 100KiB",
                    text, size_text(kMinPictureBytes), size_text(kMaxPictureBytes)));
  }
  return number * factor;
}

std::string size_text(std::size_t bytes) {
  if (bytes >= kMi && bytes % kMi == 0) return fmt::format("{}MiB", bytes / kMi);
  if (bytes >= kKi && bytes % kKi == 0) return fmt::format("{}KiB", bytes / kKi);
  return fmt::format("{}B", bytes);
}

}  // namespace m2b::bench
