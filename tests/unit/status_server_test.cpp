#include "m2b/status/status_server.hpp"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <httplib.h>
#include <sys/socket.h>

#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "m2b/util/fd.hpp"
#include "m2b/util/thread.hpp"
#include "support/eventually.hpp"
#include "support/fake_object_store.hpp"
#include "support/loopback.hpp"
#include "support/messages.hpp"
#include "support/temp_dir.hpp"

namespace {

using namespace m2b;
using test::eventually;
using test::free_port;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

Fd connect_to(std::uint16_t port) {
  Fd connection(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  const auto* const generic = reinterpret_cast<const sockaddr*>(&address);
  REQUIRE(::connect(connection.get(), generic, sizeof address) == 0);
  return connection;
}

/// Clients that begin a request and go on with it, byte by byte, for ever.
class DribblingClients {
 public:
  DribblingClients(std::size_t count, std::uint16_t port) {
    for (std::size_t i = 0; i < count; ++i) {
      connections_.push_back(connect_to(port));
    }
    dribble();
    thread_ = std::jthread([this](const std::stop_token& stop) {
      while (sleep_for(200ms, stop)) {
        dribble();
      }
    });
  }

 private:
  void dribble() const {
    for (const Fd& connection : connections_) {
      static_cast<void>(::send(connection.get(), "G", 1, MSG_NOSIGNAL | MSG_DONTWAIT));
    }
  }

  std::vector<Fd> connections_;
  std::jthread thread_;
};

TEST_SUITE("status_server") {
  struct Fixture {
    test::TempDir dir;
    test::FakeBucket bucket;
    MqttOptions mqtt_options;
    PipelineOptions pipeline_options;
    Spool spool{{.directory = dir.path(), .max_bytes = 0, .min_free_bytes = 0}};
    Pipeline pipeline{pipeline_options, spool,
                      [this] { return std::make_unique<test::FakeObjectStore>(bucket); }};
    Receiver receiver{mqtt_options, spool};
    StatusOptions options{.enabled = true, .host = "127.0.0.1", .port = free_port()};
    StatusServer server{options, {spool, receiver, pipeline}};
    httplib::Client client{"127.0.0.1", options.port};

    ~Fixture() { server.stop(); }

    void start() {
      server.start();
      REQUIRE(eventually([&] { return static_cast<bool>(client.Get("/livez")); }));
    }
    std::string metrics() {
      const auto answer = client.Get("/metrics");
      REQUIRE(answer);
      CHECK(answer->status == 200);
      CHECK(answer->get_header_value("Content-Type").starts_with("text/plain; version=0.0.4"));
      return answer->body;
    }
  };

  TEST_CASE_FIXTURE(Fixture, "it lives without broker and store, but is not ready") {
    start();
    CHECK(client.Get("/livez")->status == 200);
    CHECK(client.Get("/readyz")->status == 503);
    CHECK(client.Get("/readyz")->body == "not connected to the broker\n");
    CHECK(check_health(options).empty());
  }

  TEST_CASE_FIXTURE(Fixture, "other paths and methods are refused") {
    start();
    CHECK(client.Get("/")->status == 404);
    CHECK(client.Get("/metrics/../etc/passwd")->status == 404);
    CHECK(client.Post("/livez", "x", "text/plain")->status == 404);
    CHECK(client.Head("/livez")->status == 200);
  }

  TEST_CASE_FIXTURE(Fixture, "metrics tell what spool and pipeline did") {
    test::append_durably(spool, "ia/x", test::image_json("a", "QUJD"));
    test::append_durably(spool, "ia/x", "bad");
    pipeline.start();
    CHECK(eventually([&] { return spool.totals().waiting() == 0; }));
    pipeline.stop(std::chrono::seconds(1));
    start();
    const std::string text = metrics();
    const auto has = [&](const std::string& line) {
      return text.find("\n" + line + "\n") != std::string::npos;
    };
    CHECK(has(R"(mqtt_to_blob_spool_account_messages{account="received"} 2)"));
    CHECK(has(R"(mqtt_to_blob_spool_account_messages{account="stored"} 1)"));
    CHECK(has(R"(mqtt_to_blob_spool_account_messages{account="dead_lettered"} 1)"));
    CHECK(has("mqtt_to_blob_spool_messages 0"));
    CHECK(has("mqtt_to_blob_dead_letters 1"));
    CHECK(has(R"(mqtt_to_blob_dead_letters_total{reason="not_json"} 1)"));
    CHECK(has(R"(mqtt_to_blob_uploads_total{result="stored"} 1)"));
    CHECK(has("mqtt_to_blob_upload_seconds_count 1"));
    CHECK(has("mqtt_to_blob_uploaded_bytes_total 3"));
    CHECK(has("mqtt_to_blob_store_reachable 1"));
    CHECK(has("mqtt_to_blob_upload_slots 4"));
    CHECK(has("mqtt_to_blob_broker_connected 0"));
    CHECK(has("# TYPE mqtt_to_blob_spool_commit_seconds histogram"));
  }

  TEST_CASE_FIXTURE(Fixture, "a message from the future has no negative age") {
    MessageView early = test::message("ia/x", "{}");
    early.received_at += std::chrono::hours(1);  // the clock was set back since
    REQUIRE(spool.append(early).get() == Durability::durable);
    start();
    CHECK(metrics().find("\nmqtt_to_blob_spool_oldest_age_seconds 0\n") != std::string::npos);
  }

  TEST_CASE_FIXTURE(Fixture, "slow clients do not hold the stop") {
    start();
    const DribblingClients slow(10, options.port);  // more than workers: some wait in the queue
    std::this_thread::sleep_for(500ms);             // the workers are in the middle of them
    const auto begin = Clock::now();
    server.stop();
    CHECK(Clock::now() - begin < 1s);
  }

  TEST_CASE_FIXTURE(Fixture, "as many slow clients as workers do not make it unhealthy") {
    start();
    const DribblingClients slow(8, options.port);
    CHECK(check_health(options).empty());
  }

  TEST_CASE_FIXTURE(Fixture, "a request without end is cut off") {
    start();
    const Fd connection = connect_to(options.port);
    const std::string line(65536, 'x');
    const auto begin = Clock::now();
    // The kernel takes some before the server reads, hence more than once.
    CHECK(eventually([&] {
      return ::send(connection.get(), line.data(), line.size(), MSG_NOSIGNAL | MSG_DONTWAIT) < 0 &&
             errno != EAGAIN;
    }));
    CHECK(Clock::now() - begin < 1s);
  }

  TEST_CASE_FIXTURE(Fixture, "an address that is taken is tried again until it is free") {
    auto other = std::make_optional<test::LoopbackListener>();
    const StatusOptions taken{.enabled = true, .host = "127.0.0.1", .port = other->port};
    StatusServer second(taken, {spool, receiver, pipeline});
    second.start();
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    other.reset();
    CHECK(eventually([&] { return check_health(taken).empty(); }));
    second.stop();
  }

  TEST_CASE_FIXTURE(Fixture, "stopping right after the start, or twice, is fine") {
    server.start();
    server.stop();
    server.stop();
  }

  TEST_CASE("health says why not") {
    CHECK(check_health({.enabled = false, .host = "", .port = 0}).find("off") != std::string::npos);
    const StatusOptions nobody{.enabled = true, .host = "127.0.0.1", .port = free_port()};
    CHECK(check_health(nobody).find("no answer from 127.0.0.1") != std::string::npos);
  }
}

}  // namespace
