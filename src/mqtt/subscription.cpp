#include "mqtt/subscription.hpp"

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <iterator>

namespace m2b {

std::string encode(const Subscription& subscription) {
  std::string text =
      subscription.client_id + '\n' + subscription.broker + '\n' + std::to_string(subscription.qos);
  for (const std::string& filter : subscription.filters) {
    text += '\n' + filter;
  }
  return text;
}

std::optional<Subscription> decode_subscription(std::string_view text) {
  std::vector<std::string> lines;
  while (true) {
    const std::size_t end = text.find('\n');
    lines.emplace_back(text.substr(0, end));
    if (end == std::string_view::npos) {
      break;
    }
    text.remove_prefix(end + 1);
  }
  constexpr std::size_t kFixedLines = 3;
  if (lines.size() <= kFixedLines) {
    return std::nullopt;
  }
  Subscription subscription{lines[0], lines[1], 0, {lines.begin() + kFixedLines, lines.end()}};
  const std::string& qos = lines[2];
  const auto parsed = std::from_chars(qos.data(), qos.data() + qos.size(), subscription.qos);
  return parsed.ec == std::errc() ? std::optional(std::move(subscription)) : std::nullopt;
}

std::vector<std::string> no_longer_wanted(const Subscription& before, const Subscription& now) {
  std::vector<std::string> filters;
  std::copy_if(before.filters.begin(), before.filters.end(), std::back_inserter(filters),
               [&](const std::string& filter) {
                 return std::find(now.filters.begin(), now.filters.end(), filter) ==
                        now.filters.end();
               });
  return filters;
}

int subscribe_qos(int configured, MqttVersion version) noexcept {
  return version == MqttVersion::v5 ? configured : std::min(configured, 1);
}

}  // namespace m2b
