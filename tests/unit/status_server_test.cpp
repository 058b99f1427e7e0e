#include "m2b/status/status_server.hpp"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <sys/socket.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include "http/http_client.hpp"
#include "m2b/status/status_monitor.hpp"
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

TEST_SUITE("status_server") {
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

  /// A client of the listener, whose requests are all answered.
  class Visitor {
   public:
    explicit Visitor(std::uint16_t port) : address_{"127.0.0.1", port} {}

    [[nodiscard]] HttpResponse get(const std::string& target, HttpFields fields = {}) const {
      return ask("GET", target, std::move(fields), {});
    }
    [[nodiscard]] HttpResponse ask(const std::string& method, const std::string& target,
                                   HttpFields fields, std::string body) const {
      const auto answer = ask_http(address_,
                                   {.method = method,
                                    .path = target,
                                    .query = {},
                                    .fields = std::move(fields),
                                    .body = std::move(body)},
                                   {.time = 10s, .max_body_bytes = std::size_t{16} << 20});
      const auto* const response = std::get_if<HttpResponse>(&answer);
      REQUIRE(response != nullptr);
      return *response;
    }

   private:
    TcpAddress address_;
  };

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
    ClockOffset clock_offset;
    LastPictures pictures{0ms};
    StatusMonitor monitor{sources()};
    StatusServer server{options, monitor};
    Visitor client{options.port};

    ~Fixture() { server.stop(); }

    StatusSources sources() {
      return {.spool = spool,
              .receiver = receiver,
              .pipeline = pipeline,
              .clock_offset = &clock_offset,
              .pictures = &pictures,
              .names = {.broker = "broker:1883", .store = "store:9000", .bucket = "pictures"}};
    }

    void start() {
      server.start();
      REQUIRE(eventually([&] { return check_health(options).empty(); }));
    }
    std::string metrics() {
      const auto answer = client.get("/metrics");
      CHECK(answer.status == 200);
      CHECK(answer.field("content-type").starts_with("text/plain; version=0.0.4"));
      return answer.body;
    }
  };

  TEST_CASE_FIXTURE(Fixture, "it lives without broker and store, but is not ready") {
    start();
    CHECK(client.get("/livez").status == 200);
    const HttpResponse readiness = client.get("/readyz");
    CHECK(readiness.status == 503);
    CHECK(readiness.body == "Starting: connecting to the broker; nothing waits in the queue.\n");
    const HttpResponse stranger = client.get("/readyz", {{"Host", "rebound.example.net"}});
    CHECK(stranger.status == 503);
    CHECK(stranger.body == "attention\n");
    CHECK(check_health(options).empty());
  }

  TEST_CASE_FIXTURE(Fixture, "other paths and methods are refused") {
    start();
    CHECK(client.get("/nothing").status == 404);
    CHECK(client.get("/metrics/../etc/passwd").status == 404);
    for (const char* const method : {"POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "get"}) {
      const HttpResponse answer = client.ask(method, "/livez", {}, "");
      CHECK(answer.status == 405);
      CHECK(answer.field("allow") == "GET, HEAD");
      CHECK(answer.body.size() < 100);
    }
    CHECK(client.ask("HEAD", "/livez", {}, "").status == 200);
    CHECK(client.ask("OPTIONS", "*", {}, "").status == 404);
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
    CHECK(has("mqtt_to_blob_objects_overwritten_total 0"));
    CHECK(has("mqtt_to_blob_store_reachable 1"));
    CHECK(has("mqtt_to_blob_upload_slots 4"));
    CHECK(has("mqtt_to_blob_broker_connected 0"));
    CHECK(has("# TYPE mqtt_to_blob_spool_commit_seconds histogram"));
  }

  /// As a Fixture, of which somebody has the token.
  struct GuardedFixture : Fixture {
    const std::string token = "a-token-of-some-length";
    StatusOptions guarded_options{.enabled = true,
                                  .host = "127.0.0.1",
                                  .port = free_port(),
                                  .token = Secret(token),
                                  .token_file = (dir.path() / "token").string()};
    StatusServer guarded{guarded_options, monitor};
    Visitor visitor{guarded_options.port};
    const HttpFields bearer{{"Authorization", "Bearer " + token}};

    GuardedFixture() {
      test::append_durably(spool, "ia/x", "rubbish");
      REQUIRE(spool.bury(SpoolId{1}, {DeadLetterReason::not_json, "at byte 0"}) == Burial::done);
      guarded.start();
      REQUIRE(eventually([&] { return check_health(guarded_options).empty(); }));
    }
    ~GuardedFixture() { guarded.stop(); }

    int post(const std::string& path, const std::string& body, const HttpFields& headers,
             const char* type = "application/json") {
      HttpFields fields = headers;
      fields.push_back({"Content-Type", type});
      return visitor.ask("POST", path, std::move(fields), body).status;
    }
  };

  TEST_CASE_FIXTURE(Fixture, "page, files and status come with headers that keep them safe") {
    start();
    for (const char* const path : {"/", "/page.css", "/page.js", "/icon.svg", "/status", "/livez",
                                   "/nothing", "/pictures/x"}) {
      CAPTURE(path);
      const auto answer = client.get(path);
      CHECK(answer.field("x-content-type-options") == "nosniff");
      CHECK(answer.field("x-frame-options") == "DENY");
      CHECK(answer.field("referrer-policy") == "no-referrer");
      CHECK(answer.field("cache-control") == "no-store");
      const std::string_view policy = answer.field("content-security-policy");
      CHECK(policy.find("default-src 'none'") == 0);
      CHECK(policy.find("frame-ancestors 'none'") != std::string::npos);
      CHECK(policy.find("unsafe") == std::string::npos);
      CHECK(answer.field("access-control-allow-origin").empty());
    }
    CHECK(client.get("/").field("content-type") == "text/html; charset=utf-8");
    CHECK(client.get("/page.js").field("content-type") == "text/javascript; charset=utf-8");
    CHECK(client.get("/status").field("content-type") == "application/json");
    CHECK(client.get("/status").body.find(R"("address":"broker:1883")") != std::string::npos);
  }

  TEST_CASE_FIXTURE(Fixture, "a name that was made to point to the loopback sees nothing") {
    start();
    const HttpFields rebound{{"Host", "rebound.example.net"}};
    CHECK(client.get("/", rebound).status == 421);
    CHECK(client.get("/status", rebound).status == 421);
    CHECK(client.get("/livez", rebound).status == 200);
  }

  TEST_CASE_FIXTURE(Fixture, "payloads are shown on the loopback, actions are not there") {
    test::append_durably(spool, "ia/x", std::string("binary\0\xff", 8));
    CHECK(spool.bury(SpoolId{1}, {DeadLetterReason::not_json, ""}) == Burial::done);
    start();
    const auto letter = client.get("/dead-letters/1");
    CHECK(letter.status == 200);
    CHECK(letter.body.find(R"("hex":"62696e61727900ff")") != std::string::npos);
    for (const char* const path : {"/dead-letters/2", "/dead-letters/0",
                                   "/dead-letters/99999999999999999999", "/dead-letters/x"}) {
      CHECK(client.get(path).status == 404);
    }
    CHECK(client
              .ask("POST", "/dead-letters/drop", {{"Content-Type", "application/json"}},
                   R"({"ids":[1]})")
              .status == 404);
    CHECK(spool.dead_letters_kept() == 1);
  }

  TEST_CASE_FIXTURE(GuardedFixture, "with a token, payloads are for those who know it") {
    CHECK(visitor.get("/dead-letters/1").status == 401);
    CHECK(visitor.get("/dead-letters/1").field("www-authenticate") == "Bearer");
    CHECK(visitor.get("/dead-letters/1", bearer).status == 200);
    CHECK(visitor.get("/dead-letters/1?token=" + token).status == 401);
    CHECK(visitor.get("/dead-letters/1", {{"Cookie", "token=" + token}}).status == 401);
    CHECK(visitor.get("/").status == 200);
    CHECK(visitor.get("/status").status == 200);
  }

  TEST_CASE_FIXTURE(GuardedFixture, "a token that was replaced opens nothing any more") {
    std::ofstream(guarded_options.token_file) << "another-token-of-some-length\n";
    CHECK(visitor.get("/dead-letters/1", bearer).status == 401);
    const HttpFields another{{"Authorization", "Bearer another-token-of-some-length"}};
    CHECK(visitor.get("/dead-letters/1", another).status == 200);
    std::ofstream(guarded_options.token_file) << "short\n";
    CHECK(visitor.get("/dead-letters/1", another).status == 200);
    CHECK(visitor.get("/dead-letters/1", {{"Authorization", "Bearer short"}}).status == 401);
  }

  TEST_CASE_FIXTURE(GuardedFixture,
                    "letters are replayed and dropped by those who know the token") {
    const std::string one = R"({"ids":[1]})";
    CHECK(post("/dead-letters/replay", one, {}) == 401);
    CHECK(post("/dead-letters/replay", one, {{"Authorization", "Bearer wrong"}}) == 401);
    CHECK(post("/dead-letters/replay", one, bearer, "text/plain") == 415);
    HttpFields foreign = bearer;
    foreign.push_back({"Origin", "http://evil.example.net"});
    CHECK(post("/dead-letters/drop", one, foreign) == 403);
    for (const char* const body : {"", "{}", "[1]", R"({"ids":[]})", R"({"ids":["1"]})",
                                   R"({"ids":[-1]})", R"({"ids":1})"}) {
      CHECK_MESSAGE(post("/dead-letters/drop", body, bearer) == 400, std::string(body));
    }
    CHECK(visitor.get("/dead-letters/drop", bearer).status == 405);
    CHECK(spool.dead_letters_kept() == 1);
    CHECK(post("/dead-letters/replay", one, bearer) == 200);
    CHECK(spool.dead_letters_kept() == 0);
    CHECK(spool.totals().waiting() == 1);
    CHECK(spool.bury(SpoolId{2}, {DeadLetterReason::not_json, ""}) == Burial::done);
    CHECK(post("/dead-letters/drop", R"({"ids":[2]})", bearer) == 200);
    CHECK(spool.dead_letters_kept() == 0);
    CHECK(spool.totals().dropped == 1);
  }

  TEST_CASE_FIXTURE(GuardedFixture, "pictures are for those who know the token") {
    const Object object{std::get<ObjectKey>(ObjectKey::from_image_id("a")), "\xff\xd8\xff...",
                        "image/jpeg", Metadata()};
    pictures.offer(object);
    CHECK(visitor.get("/pictures/1").status == 401);
    const auto picture = visitor.get("/pictures/1", bearer);
    CHECK(picture.status == 200);
    CHECK(picture.field("content-type") == "image/jpeg");
    CHECK(picture.body == object.body);
    CHECK(visitor.get("/pictures/2", bearer).status == 404);
  }

  TEST_CASE_FIXTURE(GuardedFixture,
                    "wrong tokens are answered late, however many, the right one is not") {
    const HttpFields wrong{{"Authorization", "Bearer " + std::string(token.size(), 'x')}};
    std::atomic<int> refused = 0;
    std::atomic<int> answered_early = 0;
    std::vector<std::jthread> guessers;
    for (int i = 0; i < 20; ++i) {
      guessers.emplace_back([&](const std::stop_token& stop) {
        while (!stop.stop_requested()) {
          const auto begin = Clock::now();
          const auto answer =
              ask_http(TcpAddress{"127.0.0.1", guarded_options.port},
                       {.method = "GET", .path = "/dead-letters/1", .query = {}, .fields = wrong},
                       {.time = 10s, .max_body_bytes = 1000});
          const auto* const response = std::get_if<HttpResponse>(&answer);
          refused += response != nullptr && response->status == 401 ? 1 : 0;
          answered_early += Clock::now() - begin < 1s ? 1 : 0;
        }
      });
    }
    // While they guess; on a busy machine not each time.
    CHECK(test::eventually([&] {
      const auto begin = Clock::now();
      CHECK(visitor.get("/dead-letters/1", bearer).status == 200);
      CHECK(visitor.get("/dead-letters/1").status == 401);  // without one nobody guesses
      CHECK(visitor.get("/livez").status == 200);
      return refused > 0 && Clock::now() - begin < 900ms;
    }));
    guessers.clear();
    CHECK(refused >= 20);
    CHECK(answered_early == 0);
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

  TEST_CASE_FIXTURE(Fixture, "slow clients do not make it unhealthy, however many") {
    start();
    const DribblingClients slow(300, options.port);
    const auto begin = Clock::now();
    CHECK(check_health(options).empty());
    CHECK(Clock::now() - begin < 1s);
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
    StatusServer second(taken, monitor);
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
