#include "m2b/mqtt/connack_properties.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>

#include "m2b/util/visible.hpp"

namespace m2b {

std::string quote_broker(std::string_view text) {
  constexpr std::size_t kMaxBytes = 256;
  if (text.size() <= kMaxBytes) {
    return visible(text);
  }
  const auto is_continuation = [](char byte) {
    return (static_cast<std::uint8_t>(byte) & 0xC0U) == 0x80U;
  };
  constexpr std::size_t kMaxContinuations = 3;
  std::size_t end = kMaxBytes;
  while (end > kMaxBytes - kMaxContinuations && is_continuation(text[end])) {
    --end;
  }
  return visible(text.substr(0, end)) + "...";
}

std::string BrokerStatement::text() const {
  std::string text;
  if (!reason.empty()) {
    text = "the broker says: " + reason;
  }
  if (!server_reference.empty()) {
    text += fmt::format("{}the broker names another server: {}", text.empty() ? "" : "; ",
                        server_reference);
  }
  return text;
}

std::string BrokerStatement::behind(std::string_view meaning) const {
  return empty() ? std::string(meaning) : fmt::format("{}; {}", meaning, text());
}

std::chrono::seconds ConnackProperties::keep_alive(std::chrono::seconds asked) const noexcept {
  return server_keep_alive && server_keep_alive->count() > 0 ? std::min(*server_keep_alive, asked)
                                                             : asked;
}

std::optional<int> ConnackProperties::refusal_of(std::string_view filter) const {
  constexpr int kPacketTooLarge = 0x95;
  constexpr int kNoSharedSubscriptions = 0x9E;
  constexpr int kNoWildcardSubscriptions = 0xA2;
  if (!shared_subscriptions && filter.starts_with("$share/")) {
    return kNoSharedSubscriptions;
  }
  if (!wildcard_subscriptions && filter.find_first_of("+#") != std::string_view::npos) {
    return kNoWildcardSubscriptions;
  }
  // SUBSCRIBE (section 3.8): type, length of up to three bytes, packet identifier, no properties,
  // length of the filter, filter, options.
  constexpr std::size_t kAround = 1 + 3 + 2 + 1 + 2 + 1;
  if (filter.size() + kAround > maximum_packet_size) {
    return kPacketTooLarge;
  }
  return std::nullopt;
}

}  // namespace m2b
