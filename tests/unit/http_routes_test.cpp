#include "http/http_routes.hpp"

#include <doctest/doctest.h>

#include <string>

namespace {

using namespace m2b;

TEST_SUITE("http_routes") {
  HttpRoutes routes() {
    HttpRoutes routes;
    const auto say = [](std::string name) {
      return [name = std::move(name)](const HttpRequest&, std::uint64_t number) {
        return http_response(200, "text/plain", name + std::to_string(number));
      };
    };
    routes.get("/", say("root"));
    routes.get("/a", say("get"));
    routes.post("/a", say("post"));
    routes.get("/a/*", say("item"));
    routes.post("/a/drop", say("drop"));
    return routes;
  }
  HttpResponse ask(const std::string& method, const std::string& path) {
    return routes().answer({.method = method, .path = path, .query = {}});
  }

  TEST_CASE("method and path decide, and a number is handed over") {
    CHECK(ask("GET", "/").body == "root0");
    CHECK(ask("GET", "/a").body == "get0");
    CHECK(ask("HEAD", "/a").body == "get0");
    CHECK(ask("POST", "/a").body == "post0");
    CHECK(ask("GET", "/a/17").body == "item17");
    CHECK(ask("GET", "/a/18446744073709551615").body == "item18446744073709551615");
    CHECK(ask("POST", "/a/drop").body == "drop0");
  }

  TEST_CASE("another path is not found") {
    for (const char* const path :
         {"", "*", "//", "/b", "/a/", "/A", "/a/x", "/a/1x", "/a/-1", "/a/+1",
          "/a/18446744073709551616", "/a/1/", "/%61", "/a/../a", "http://x/a"}) {
      CAPTURE(path);
      CHECK(ask("GET", path).status == 404);
    }
  }

  TEST_CASE("a wrong method is told which are right") {
    const HttpResponse response = ask("DELETE", "/a");
    CHECK(response.status == 405);
    CHECK(response.field("allow") == "GET, HEAD, POST");
    CHECK(ask("POST", "/a/17").field("allow") == "GET, HEAD");
    CHECK(ask("HEAD", "/a/drop").field("allow") == "POST");
    CHECK(ask("OPTIONS", "/").status == 405);
    CHECK(ask("get", "/").status == 405);
  }
}

}  // namespace
