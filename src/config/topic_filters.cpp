#include "config/topic_filters.hpp"

#include <cstddef>
#include <optional>
#include <utility>

#include "config/text.hpp"
#include "m2b/util/typed_text.hpp"

namespace m2b::config {
namespace {

std::vector<std::string> split_at_commas(std::string_view text) {
  std::vector<std::string> filters(1);
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text.substr(i).starts_with("\\,")) {
      filters.back() += ',';
      ++i;
    } else if (text[i] == ',') {
      filters.emplace_back();
    } else {
      filters.back() += text[i];
    }
  }
  return filters;
}

/// Where the wildcards stand; the rest of the rules is the same for shared filters.
std::optional<std::string> wildcard_fault(std::string_view filter) {
  while (true) {
    const auto slash = filter.find('/');
    const auto level = filter.substr(0, slash);
    const bool last = slash == std::string_view::npos;
    if (level.find('#') != std::string_view::npos && (level != "#" || !last)) {
      return "may have # only as the whole last level";
    }
    if (level.find('+') != std::string_view::npos && level != "+") {
      return "may have + only as a whole level";
    }
    if (last) {
      return std::nullopt;
    }
    filter.remove_prefix(slash + 1);
  }
}

std::optional<std::string> filter_fault(std::string_view filter) {
  if (filter.empty()) {
    return "is empty";
  }
  if (!is_mqtt_string(filter)) {
    return "must be valid UTF-8 without NUL, of at most 65535 bytes";
  }
  constexpr std::string_view kShare = "$share";
  if (filter != kShare && !filter.starts_with("$share/")) {
    return wildcard_fault(filter);
  }
  constexpr const char* kSharedForm = "must have the form $share/<group>/<filter>";
  if (filter == kShare) {
    return kSharedForm;
  }
  filter.remove_prefix(kShare.size() + 1);
  const auto slash = filter.find('/');
  const auto group = filter.substr(0, slash);
  if (slash == std::string_view::npos || slash + 1 == filter.size() || group.empty()) {
    return kSharedForm;
  }
  if (group.find_first_of("+#") != std::string_view::npos) {
    return "must have a group without + and # in $share/<group>/<filter>";
  }
  return wildcard_fault(filter.substr(slash + 1));
}

}  // namespace

Parsed<std::vector<std::string>> parse_topic_filters(std::string_view text) {
  auto filters = split_at_commas(text);
  for (const auto& filter : filters) {
    auto fault = filter_fault(filter);
    // The broker would take `a, b` as the topic " b" and never send a thing. What is around the
    // whole value is the loader's to find.
    if (std::string odd = odd_end_of(filter); !fault && filters.size() > 1 && !odd.empty()) {
      fault = "has " + std::move(odd) + ", which MQTT takes as part of the topic: remove it";
    }
    if (fault) {
      return Fault{filters.size() == 1 && !filter.empty()
                       ? std::move(*fault)
                       : "its filter " + shown(filter) + " " + *fault};
    }
  }
  return filters;
}

}  // namespace m2b::config
