#include "m2b/upload/store_proxy.hpp"

#include <doctest/doctest.h>

#include <cstdlib>
#include <map>
#include <optional>
#include <string>

#include "m2b/upload/store_context.hpp"

namespace {

using namespace m2b;

TEST_SUITE("store_proxy") {
  /// Variables of the environment, which go with it.
  class Variables {
   public:
    explicit Variables(std::map<std::string, std::string> values) : values_(std::move(values)) {
      for (const auto& [name, value] : values_) {
        ::setenv(name.c_str(), value.c_str(), 1);
      }
    }
    ~Variables() {
      for (const auto& [name, value] : values_) {
        ::unsetenv(name.c_str());
      }
    }
    Variables(const Variables&) = delete;
    Variables& operator=(const Variables&) = delete;

   private:
    std::map<std::string, std::string> values_;
  };

  /// `variable host:port`, and `none`.
  std::string found(const std::map<std::string, std::string>& values, bool secure,
                    const std::string& host = "store.example") {
    const Variables variables(values);
    StoreOptions options;
    options.host = host;
    options.port = 9000;
    options.secure = secure;
    StoreContext context(options);
    const std::optional<StoreProxy> proxy = find_store_proxy(context);
    return proxy ? proxy->variable + " " + proxy->host + ":" + std::to_string(proxy->port) +
                       (proxy->has_login ? " login" : "")
                 : "none";
  }

  TEST_CASE("the variable depends on the scheme") {
    CHECK(found({}, true) == "none");
    const std::map<std::string, std::string> both{{"http_proxy", "http://127.0.0.1:1"},
                                                  {"https_proxy", "http://127.0.0.1:2"}};
    CHECK(found(both, false) == "http_proxy 127.0.0.1:1");
    CHECK(found(both, true) == "https_proxy 127.0.0.1:2");
    CHECK(found({{"HTTPS_PROXY", "127.0.0.1:3"}}, true) == "HTTPS_PROXY 127.0.0.1:3");
    CHECK(found({{"HTTP_PROXY", "127.0.0.1:3"}}, false) == "none");
    CHECK(found({{"ALL_PROXY", "127.0.0.1"}}, false) == "ALL_PROXY 127.0.0.1:1080");
    CHECK(found({{"https_proxy", ""}}, true) == "none");
  }

  TEST_CASE("a login is noted and not told") {
    CHECK(found({{"https_proxy", "http://user:secret@127.0.0.1:2"}}, true) ==
          "https_proxy 127.0.0.1:2 login");
  }

  TEST_CASE("no_proxy is libcurl's affair") {
    const auto without = [](const std::string& no_proxy, const std::string& host) {
      return found({{"https_proxy", "http://127.0.0.1:2"}, {"no_proxy", no_proxy}}, true, host);
    };
    CHECK(without("*", "store.example") == "none");
    CHECK(without("example", "store.example") == "none");
    CHECK(without("other.example", "store.example") == "https_proxy 127.0.0.1:2");
    CHECK(without("192.0.2.9", "192.0.2.9") == "none");
    CHECK(without("192.0.2.8", "192.0.2.9") == "https_proxy 127.0.0.1:2");
    CHECK(without("", "[::1]") == "https_proxy 127.0.0.1:2");
    CHECK(without("::1", "[::1]") == "none");
  }
}

}  // namespace
