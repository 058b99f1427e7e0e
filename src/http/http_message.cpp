#include "http/http_message.hpp"

#include <algorithm>
#include <utility>

#include "m2b/util/ascii.hpp"

namespace m2b {

std::string_view field_of(const HttpFields& fields, std::string_view lower_name) noexcept {
  const auto found = std::ranges::find_if(fields, [lower_name](const HttpField& field) {
    return is_ascii_word(field.name, lower_name);
  });
  return found == fields.end() ? std::string_view() : std::string_view(found->value);
}

std::optional<std::string_view> HttpRequest::parameter(std::string_view name) const noexcept {
  std::string_view rest = query;
  while (!rest.empty()) {
    const std::string_view pair = rest.substr(0, rest.find('&'));
    rest.remove_prefix(std::min(pair.size() + 1, rest.size()));
    if (pair.starts_with(name) && pair.substr(name.size()).starts_with('=')) {
      return pair.substr(name.size() + 1);
    }
  }
  return std::nullopt;
}

HttpResponse http_response(int status, std::string_view content_type, std::string body) {
  return {.status = status,
          .fields = {{"Content-Type", std::string(content_type)}},
          .body = std::move(body)};
}

HttpResponse http_refusal(int status, std::string_view reason) {
  return http_response(status, "text/plain; charset=utf-8", std::string(reason) + "\n");
}

}  // namespace m2b
