#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "http/http_message.hpp"

namespace m2b {

/// Which handler answers which path. Paths are compared byte by byte, without decoding; in one that
/// ends in `/*` the last segment is a decimal number, which the handler gets (otherwise 0).
/// Answers 404 to an unknown path and 405 with `Allow` to a wrong method. Filled before it is used;
/// then any thread.
class HttpRoutes {
 public:
  using Handler = std::function<HttpResponse(const HttpRequest&, std::uint64_t number)>;

  /// GET, and HEAD by the same handler.
  void get(std::string_view path, Handler handler);
  void post(std::string_view path, Handler handler);

  [[nodiscard]] HttpResponse answer(const HttpRequest& request) const;

 private:
  struct Route {
    std::string method;
    std::string path;
    Handler handler;
  };

  std::vector<Route> routes_;
};

}  // namespace m2b
