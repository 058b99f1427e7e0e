#include "mqtt/broker_addresses.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace {

using namespace m2b;

TEST_SUITE("broker_addresses") {
  struct Fixture {
    std::vector<std::string> found{"192.0.2.1", "192.0.2.2", "2001:db8::3"};
    std::string failure;
    int look_ups = 0;
    BrokerAddresses addresses{"broker.lan", [this](const std::string& host) {
                                CHECK(host == "broker.lan");
                                ++look_ups;
                                return LookedUp{found, failure};
                              }};
  };

  TEST_CASE_FIXTURE(Fixture, "each address has its turn, and then the name is looked up again") {
    CHECK(addresses.next() == "192.0.2.1");
    CHECK(addresses.next() == "192.0.2.1");
    CHECK(addresses.has_several());
    CHECK(addresses.failed("refused"));
    CHECK(addresses.next() == "192.0.2.2");
    CHECK(addresses.failed("no answer"));
    CHECK(addresses.next() == "2001:db8::3");
    CHECK(addresses.failures() == "192.0.2.1: refused; 192.0.2.2: no answer");
    CHECK_FALSE(addresses.failed("unreachable"));
    CHECK(addresses.failures() ==
          "192.0.2.1: refused; 192.0.2.2: no answer; 2001:db8::3: unreachable");
    CHECK(look_ups == 1);
    found = {"192.0.2.9"};
    CHECK(addresses.next() == "192.0.2.9");
    CHECK(addresses.failures().empty());
    CHECK_FALSE(addresses.has_several());
    CHECK(look_ups == 2);
    CHECK_FALSE(addresses.failed("refused"));
  }

  TEST_CASE_FIXTURE(Fixture, "the one that answered last is called first") {
    CHECK(addresses.next() == "192.0.2.1");
    CHECK(addresses.failed("refused"));
    CHECK(addresses.next() == "192.0.2.2");
    addresses.answered();
    CHECK(addresses.next() == "192.0.2.2");
    CHECK(look_ups == 2);
    CHECK(addresses.failed("refused"));
    CHECK(addresses.next() == "192.0.2.1");
    CHECK(addresses.failed("refused"));
    CHECK(addresses.next() == "2001:db8::3");
    CHECK_FALSE(addresses.failed("refused"));
    found = {"192.0.2.1"};  // the other one is gone
    CHECK(addresses.next() == "192.0.2.1");
  }

  TEST_CASE_FIXTURE(Fixture, "a name without an address is looked up each time") {
    found.clear();
    failure = "Name or service not known";
    CHECK_FALSE(addresses.next());
    CHECK(addresses.failure() == "Name or service not known");
    CHECK_FALSE(addresses.failed("never called"));
    found = {"192.0.2.1"};
    failure.clear();
    CHECK(addresses.next() == "192.0.2.1");
    CHECK(addresses.failure().empty());
  }

  TEST_CASE("look-ups by the system") {
    CHECK(look_up_addresses("127.0.0.1").addresses == std::vector<std::string>{"127.0.0.1"});
    CHECK(look_up_addresses("::1").addresses == std::vector<std::string>{"::1"});
    const auto local = look_up_addresses("localhost").addresses;
    CHECK(std::ranges::find(local, "127.0.0.1") != local.end());
    const LookedUp none = look_up_addresses("no-such-host.invalid");
    CHECK(none.addresses.empty());
    CHECK_FALSE(none.failure.empty());
  }
}

}  // namespace
