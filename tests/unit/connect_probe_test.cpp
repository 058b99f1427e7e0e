#include "m2b/tls/connect_probe.hpp"

#include <doctest/doctest.h>
#include <sys/socket.h>

#include <chrono>
#include <future>
#include <optional>
#include <stop_token>
#include <string>

#include "m2b/tls/tls_material.hpp"
#include "m2b/util/fd.hpp"
#include "support/certificates.hpp"
#include "support/loopback.hpp"
#include "support/temp_dir.hpp"
#include "support/tls_server.hpp"

namespace {

using namespace m2b;
using namespace std::chrono_literals;
using test::Authority;
using test::Identity;
using test::TlsServer;

TEST_SUITE("connect_probe") {
  bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
  }

  /// A client that trusts one authority.
  struct Fixture {
    Fixture() {
      authority.write_certificate(folder.path() / "ca.pem");
      options.ca_file = folder.path() / "ca.pem";
      options.settings = "MQTT";
    }

    [[nodiscard]] std::optional<ConnectFault> probe(std::uint16_t port,
                                                    const std::string& host = "localhost") const {
      return find_connect_fault({host, port, &options, "BROKER_URL"}, 5s, {});
    }
    /// Why a server with this certificate is not believed.
    [[nodiscard]] ConnectFault fault_of(const Identity& identity,
                                        const std::string& host = "localhost") const {
      const TlsServer server(identity);
      return probe(server.port(), host).value_or(ConnectFault{});
    }
    void use(const Identity& identity) {
      identity.write_certificate(folder.path() / "own.pem");
      identity.write_key(folder.path() / "own.key");
      options.certificate_file = folder.path() / "own.pem";
      options.key_file = folder.path() / "own.key";
    }

    test::TempDir folder;
    Authority authority;
    TlsOptions options;
  };

  TEST_CASE_FIXTURE(Fixture, "a server that is as it should be has no fault") {
    const TlsServer server(authority.issue());
    CHECK_FALSE(probe(server.port()));
    CHECK_FALSE(probe(server.port(), "127.0.0.1"));
  }

  TEST_CASE_FIXTURE(Fixture, "an expired certificate is named with its date") {
    const ConnectFault fault =
        fault_of(authority.issue({.common_name = "old", .valid_from = -48h, .valid_until = -24h}));
    CHECK(fault.needs_a_person);
    CHECK(contains(fault.text, "CN = old) has expired on 20"));
    CHECK(contains(fault.text, "unless the clock here"));
  }

  TEST_CASE_FIXTURE(Fixture, "a certificate of the future may be our clock") {
    const ConnectFault fault = fault_of(authority.issue({.valid_from = 24h, .valid_until = 48h}));
    CHECK(contains(fault.text, "is valid only from 20"));
    CHECK(contains(fault.text, "is the clock here"));
  }

  TEST_CASE_FIXTURE(Fixture, "a certificate for somebody else is named with its names") {
    const ConnectFault fault =
        fault_of(authority.issue({.names = {"DNS:broker.plant", "IP:10.0.0.5"}}));
    CHECK(contains(fault.text, "is for broker.plant, 10.0.0.5, not for localhost"));
    CHECK(contains(fault.text, "MQTT_SERVER_NAME"));
    CHECK(contains(fault_of(authority.issue({.names = {"DNS:localhost"}}), "127.0.0.1").text,
                   "is for localhost, not for 127.0.0.1"));
    CHECK(contains(fault_of(authority.issue({.names = {}})).text, "no host name at all"));
  }

  TEST_CASE_FIXTURE(Fixture, "the name to be verified can be another than the host") {
    options.server_name = "broker.plant";
    const TlsServer server(authority.issue({.names = {"DNS:broker.plant"}}));
    CHECK_FALSE(probe(server.port(), "127.0.0.1"));
  }

  TEST_CASE_FIXTURE(Fixture, "an authority that is not ours is named") {
    const ConnectFault fault = fault_of(Authority("somebody else").issue());
    CHECK(fault.needs_a_person);
    CHECK(contains(fault.text, "from an authority that is not trusted here (CN = somebody else)"));
    CHECK(contains(fault.text, "MQTT_CA_FILE"));
  }

  TEST_CASE_FIXTURE(Fixture, "a certificate that vouches for itself is named") {
    const ConnectFault fault = fault_of(test::self_signed());
    CHECK(contains(fault.text, "is signed by itself"));
    CHECK(contains(fault.text, "MQTT_CA_FILE"));
  }

  TEST_CASE_FIXTURE(Fixture, "a server that wants a certificate of ours says so late") {
    const Authority plant("plant");
    for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
      CAPTURE(version);
      const TlsServer server(authority.issue(), {.clients_of = &plant, .max_version = version});
      options.certificate_file.clear();
      options.key_file.clear();
      const auto missing = probe(server.port());
      REQUIRE(missing);
      CHECK(missing->needs_a_person);
      CHECK(contains(missing->text, "wants a certificate of ours"));
      CHECK(contains(missing->text, "MQTT_CERT_FILE"));
      use(Authority("stranger").issue());
      const auto refused = probe(server.port());
      REQUIRE(refused);
      CHECK(contains(refused->text, "does not accept our certificate"));
      use(plant.issue());
      CHECK_FALSE(probe(server.port()));
    }
  }

  TEST_CASE_FIXTURE(Fixture, "a server that is too old is named") {
    options.min_version = TlsVersion::v1_3;
    const TlsServer server(authority.issue(), {.max_version = TLS1_2_VERSION});
    const auto fault = probe(server.port());
    REQUIRE(fault);
    CHECK(contains(fault->text, "at least 1.3 (TLS_MIN_VERSION)"));
  }

  TEST_CASE_FIXTURE(Fixture, "a port that speaks no TLS is named") {
    const test::LoopbackListener listener;
    const auto answer = std::async(std::launch::async, [&listener] {
      const Fd client(::accept4(listener.socket.get(), nullptr, nullptr, SOCK_CLOEXEC));
      const std::string text = "HTTP/1.1 400 Bad Request\r\n\r\n";
      return ::send(client.get(), text.data(), text.size(), MSG_NOSIGNAL);
    });
    const auto fault = probe(listener.port);
    REQUIRE(fault);
    CHECK(fault->needs_a_person);
    CHECK(contains(fault->text, "speaks no TLS"));
    CHECK(contains(fault->text, "is it the port for TLS?"));
  }

  TEST_CASE_FIXTURE(Fixture, "a file that cannot be read is the fault") {
    options.ca_file = folder.path() / "none.pem";
    const TlsServer server(authority.issue());
    const auto fault = probe(server.port());
    REQUIRE(fault);
    CHECK(contains(fault->text, "none.pem\" cannot be read: No such file or directory"));
  }

  TEST_CASE("without TLS it is name and connection") {
    const std::uint16_t closed = test::free_port();
    const auto refused = find_connect_fault({"127.0.0.1", closed, nullptr, "BROKER_URL"}, 5s, {});
    REQUIRE(refused);
    CHECK_FALSE(refused->needs_a_person);
    CHECK(contains(refused->text, "cannot be reached: Connection refused"));
    const test::LoopbackListener open;
    CHECK_FALSE(find_connect_fault({"127.0.0.1", open.port, nullptr, "BROKER_URL"}, 5s, {}));
    // RFC 6761: never resolves.
    const auto unknown =
        find_connect_fault({"no-such-host.invalid", 1, nullptr, "BROKER_URL"}, 5s, {});
    REQUIRE(unknown);
    CHECK(contains(unknown->text, "cannot be resolved"));
    CHECK(contains(unknown->text, "BROKER_URL"));
  }

  TEST_CASE_FIXTURE(Fixture, "a stop ends the wait") {
    const test::LoopbackListener silent;  // accepts, and never says a word
    std::stop_source stop;
    const auto begin = std::chrono::steady_clock::now();
    auto pending = std::async(std::launch::async, [&] {
      return find_connect_fault({"127.0.0.1", silent.port, &options, "BROKER_URL"}, 60s,
                                stop.get_token());
    });
    stop.request_stop();
    CHECK(pending.get());
    CHECK(std::chrono::steady_clock::now() - begin < 30s);
  }

  TEST_CASE_FIXTURE(Fixture, "silence is told") {
    const test::LoopbackListener silent;
    const auto fault =
        find_connect_fault({"127.0.0.1", silent.port, &options, "BROKER_URL"}, 100ms, {});
    REQUIRE(fault);
    CHECK(contains(fault->text, "no answer to the TLS handshake"));
  }

  TEST_CASE_FIXTURE(Fixture, "who speaks TLS is told apart from who does not") {
    const auto speaks = [](std::uint16_t port) {
      return speaks_tls({"127.0.0.1", port, nullptr, "BROKER_URL"}, 5s, {});
    };
    const TlsServer trusted(authority.issue());
    CHECK(speaks(trusted.port()));
    const TlsServer stranger(Authority().issue());
    CHECK(speaks(stranger.port()));
    const TlsServer for_clients(authority.issue(), {.clients_of = &authority});
    CHECK(speaks(for_clients.port()));
    CHECK_FALSE(speaks(test::free_port()));
  }
}

}  // namespace
