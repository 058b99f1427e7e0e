#include "m2b/service/service_reporter.hpp"

#include <doctest/doctest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstring>
#include <map>
#include <optional>
#include <string>

#include "m2b/util/fd.hpp"
#include "support/eventually.hpp"
#include "support/temp_dir.hpp"

namespace {

using namespace m2b;
using namespace std::chrono_literals;

TEST_SUITE("service_reporter") {
  /// The service manager's end.
  class Manager {
   public:
    /// `@…`: in the abstract namespace.
    explicit Manager(const std::string& address)
        : socket_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
      sockaddr_un at{};
      at.sun_family = AF_UNIX;
      std::memcpy(at.sun_path, address.data(), address.size());
      if (address.front() == '@') {
        at.sun_path[0] = '\0';
      }
      const auto* const generic = reinterpret_cast<const sockaddr*>(&at);
      const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address.size());
      REQUIRE(::bind(socket_.get(), generic, size) == 0);
    }

    /// The next datagram; nothing if none comes.
    [[nodiscard]] std::optional<std::string> hear(std::chrono::milliseconds within) const {
      pollfd waiting{socket_.get(), POLLIN, 0};
      if (::poll(&waiting, 1, static_cast<int>(within.count())) <= 0) {
        return std::nullopt;
      }
      std::array<char, 4096> buffer{};
      const ssize_t count = ::recv(socket_.get(), buffer.data(), buffer.size(), 0);
      REQUIRE(count >= 0);
      return std::string(buffer.data(), static_cast<std::size_t>(count));
    }

   private:
    Fd socket_;
  };

  bool contains(const std::optional<std::string>& text, const char* part) {
    return text && text->find(part) != std::string::npos;
  }

  struct Fixture {
    test::TempDir dir;
    std::string address = (dir.path() / "notify").string();
    Manager manager{address};
    Pulse pulse;
    std::atomic<bool> goes_round = true;

    [[nodiscard]] ServiceSources sources() {
      return {.status = [] { return std::string("all\nis well"); },
              .poke =
                  [this] {
                    if (goes_round) {
                      pulse.beat();
                    }
                  },
              .pulses = {{"worker", &pulse}}};
    }
  };

  TEST_CASE_FIXTURE(Fixture, "ready, the status in one line, stopping") {
    ServiceReporter reporter({.socket = address}, sources());
    CHECK_FALSE(manager.hear(0ms));
    reporter.ready();
    CHECK(manager.hear(5s) == "READY=1\nSTATUS=all is well");
    CHECK(manager.hear(5s) == "STATUS=all is well\n");
    reporter.stopping();
    CHECK(manager.hear(5s) == "STOPPING=1\nSTATUS=stopping");
  }

  TEST_CASE("an abstract socket serves as well") {
    const std::string name = "@m2b-service-reporter-" + std::to_string(::getpid());
    const Manager manager(name);
    ServiceReporter reporter(
        {.socket = name},
        {.status = [] { return std::string("well"); }, .poke = [] {}, .pulses = {}});
    reporter.ready();
    CHECK(manager.hear(5s) == "READY=1\nSTATUS=well");
  }

  TEST_CASE_FIXTURE(Fixture, "the watchdog gets a sign as long as the threads go round") {
    ServiceReporter reporter({.socket = address, .watchdog = 200ms}, sources());
    reporter.ready();
    CHECK(contains(manager.hear(5s), "READY=1"));
    for (int i = 0; i < 5; ++i) {
      CHECK(contains(manager.hear(5s), "WATCHDOG=1"));
    }
  }

  TEST_CASE_FIXTURE(Fixture, "a thread that does not go round is named, and there is no sign") {
    pulse.beat();
    goes_round = false;
    ServiceReporter reporter({.socket = address, .watchdog = 200ms}, sources());
    reporter.ready();
    CHECK(test::eventually(
        [&] { return contains(manager.hear(5s), "STATUS=thread worker has not answered for"); }));
    for (int i = 0; i < 3; ++i) {
      CHECK_FALSE(contains(manager.hear(5s), "WATCHDOG=1"));
    }
    SUBCASE("until it does") { goes_round = true; }
    SUBCASE("until it rests") { pulse.rest(); }
    CHECK(test::eventually([&] { return contains(manager.hear(5s), "WATCHDOG=1"); }));
  }

  TEST_CASE("without a service manager, or one that is gone, nothing happens") {
    ServiceReporter nobody({}, {.status = [] { return std::string(); },
                                .poke = [] { FAIL("poked for nobody"); },
                                .pulses = {}});
    nobody.ready();
    nobody.stopping();
    ServiceReporter gone({.socket = "/nowhere/at/all"},
                         {.status = [] { return std::string(); }, .poke = [] {}, .pulses = {}});
    gone.ready();
    gone.stopping();
  }

  TEST_CASE("the environment says who wants to hear what") {
    const auto options = [](std::map<std::string, std::string> variables) {
      return read_service_options([&](const std::string& name) {
        const auto found = variables.find(name);
        return found == variables.end() ? std::nullopt : std::optional(found->second);
      });
    };
    const std::string pid = std::to_string(::getpid());
    CHECK(options({}).socket.empty());
    CHECK(options({}).watchdog == 0us);
    CHECK(options({{"NOTIFY_SOCKET", "/run/n"}}).socket == "/run/n");
    CHECK(options({{"WATCHDOG_USEC", "3000000"}}).watchdog == 3s);
    CHECK(options({{"WATCHDOG_USEC", "3000000"}, {"WATCHDOG_PID", pid}}).watchdog == 3s);
    CHECK(options({{"WATCHDOG_USEC", "3000000"}, {"WATCHDOG_PID", "1"}}).watchdog == 0us);
    CHECK(options({{"WATCHDOG_USEC", "soon"}}).watchdog == 0us);
    CHECK(options({{"WATCHDOG_USEC", "-5"}}).watchdog == 0us);
  }
}

}  // namespace
