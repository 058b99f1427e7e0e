#include "http/http_routes.hpp"

#include <charconv>
#include <optional>
#include <system_error>
#include <utility>

namespace m2b {
namespace {

/// The number in the path, 0 for a route without one; nothing where the path is another.
std::optional<std::uint64_t> match(std::string_view route, std::string_view path) {
  if (!route.ends_with("/*")) {
    return path == route ? std::optional<std::uint64_t>(0) : std::nullopt;
  }
  route.remove_suffix(1);
  if (!path.starts_with(route)) {
    return std::nullopt;
  }
  path.remove_prefix(route.size());
  std::uint64_t number = 0;
  const char* const end = path.data() + path.size();
  const auto [rest, error] = std::from_chars(path.data(), end, number);
  return error == std::errc() && rest == end ? std::optional(number) : std::nullopt;
}

}  // namespace

void HttpRoutes::get(std::string_view path, Handler handler) {
  routes_.push_back({"GET", std::string(path), std::move(handler)});
}

void HttpRoutes::post(std::string_view path, Handler handler) {
  routes_.push_back({"POST", std::string(path), std::move(handler)});
}

HttpResponse HttpRoutes::answer(const HttpRequest& request) const {
  const std::string method = request.method == "HEAD" ? "GET" : request.method;
  std::string allowed;
  for (const Route& route : routes_) {
    const auto number = match(route.path, request.path);
    if (!number) {
      continue;
    }
    if (route.method == method) {
      return route.handler(request, *number);
    }
    allowed += (allowed.empty() ? "" : ", ") + (route.method == "GET" ? "GET, HEAD" : route.method);
  }
  if (allowed.empty()) {
    return http_refusal(404, "there is no such path");
  }
  HttpResponse response = http_refusal(405, "this path takes other methods: " + allowed);
  response.fields.push_back({"Allow", allowed});
  return response;
}

}  // namespace m2b
