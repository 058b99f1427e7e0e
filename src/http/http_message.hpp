#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace m2b {

/// A header field. Names are compared without regard to case.
struct HttpField {
  std::string name;
  std::string value;
};
using HttpFields = std::vector<HttpField>;

/// The value of the first field of that name, which is given in lower case; empty where there is
/// none.
[[nodiscard]] std::string_view field_of(const HttpFields& fields,
                                        std::string_view lower_name) noexcept;

/// A whole request: nothing in it is decoded, neither the path nor the body.
struct HttpRequest {
  std::string method;  // as it was sent: methods are case-sensitive
  std::string path;    // the target up to its question mark
  std::string query;   // what follows the question mark
  HttpFields fields = {};
  std::string body = {};

  [[nodiscard]] std::string_view field(std::string_view lower_name) const noexcept {
    return field_of(fields, lower_name);
  }
  /// The value of `name=value` in the query, without percent-decoding: ours are numbers.
  [[nodiscard]] std::optional<std::string_view> parameter(std::string_view name) const noexcept;
};

/// A whole answer. Length and connection handling are added when it is sent.
struct HttpResponse {
  int status = 200;
  HttpFields fields = {};
  std::string body = {};
  /// The answer leaves after so long; see HttpLimits::max_delayed.
  std::chrono::milliseconds delay{0};

  [[nodiscard]] std::string_view field(std::string_view lower_name) const noexcept {
    return field_of(fields, lower_name);
  }
};

[[nodiscard]] HttpResponse http_response(int status, std::string_view content_type,
                                         std::string body);
/// One line of plain text that says why, for whoever asked.
[[nodiscard]] HttpResponse http_refusal(int status, std::string_view reason);

}  // namespace m2b
