#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bench/sockets.hpp"
#include "upload/curl.hpp"
#include "upload/http_header.hpp"

namespace m2b::bench {

struct HttpAnswer {
  long status = 0;
  std::string body;
};

/// Plain HTTP over one kept connection; belongs to one thread.
class HttpClient {
 public:
  explicit HttpClient(const Address& server);

  /// Nothing when there was no answer.
  [[nodiscard]] std::optional<HttpAnswer> get(std::string_view path,
                                              const std::vector<HttpHeader>& headers = {});
  /// Without signature or type; throws unless the answer is 200.
  void put(std::string_view path, std::string_view body);

 private:
  std::string origin_;
  curl::EasyHandle easy_;
  curl::Slist put_headers_;
  std::string body_;
};

}  // namespace m2b::bench
