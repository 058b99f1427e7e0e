#include "m2b/control/control_server.hpp"

#include <doctest/doctest.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <string>
#include <variant>

#include "http/unix_address.hpp"
#include "m2b/control/control_client.hpp"
#include "m2b/spool/spool.hpp"
#include "support/eventually.hpp"
#include "support/messages.hpp"
#include "support/temp_dir.hpp"

namespace {

TEST_SUITE("control_server") {
  using namespace m2b;
  using test::append_durably;
  using test::eventually;

  /// A socket's path may be longer than sun_path.
  std::filesystem::path long_folder(const test::TempDir& dir) {
    return dir.path() / std::string(150, 'd');
  }

  struct Fixture {
    test::TempDir dir;
    std::filesystem::path folder = long_folder(dir);
    Spool spool{{.directory = folder, .min_free_bytes = 0}};
    ControlServer server{folder, spool};
    ControlClient client{folder};

    Fixture() {
      server.start();
      REQUIRE(eventually([&] { return answers(); }));
    }
    bool answers() {
      try {
        static_cast<void>(client.state());
        return true;
      } catch (const ControlError&) {
        return false;
      }
    }
    /// The answer to a request that the client would not send.
    std::string answer_to(const std::string& request) const {
      const UnixAddress address(folder / "control");
      const Fd fd(::socket(AF_UNIX, SOCK_STREAM, 0));
      REQUIRE(::connect(fd.get(), address.get(), address.size()) == 0);
      REQUIRE(::send(fd.get(), request.data(), request.size(), 0) ==
              static_cast<ssize_t>(request.size()));
      std::string answer(4096, '\0');
      const ssize_t bytes = ::recv(fd.get(), answer.data(), answer.size(), MSG_WAITALL);
      answer.resize(bytes > 0 ? static_cast<std::size_t>(bytes) : 0);
      return answer;
    }
    static std::string post(const std::string& path, const std::string& body) {
      return "POST " + path +
             " HTTP/1.1\r\nHost: x\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
             body;
    }
  };

  TEST_CASE_FIXTURE(Fixture, "the state comes with the accounts") {
    append_durably(spool, "t", "one");
    const SpoolState state = client.state();
    REQUIRE(state.totals);
    CHECK(state.totals->waiting() == 1);
    CHECK(state.intake == "open");
  }

  TEST_CASE_FIXTURE(Fixture, "records are listed and read, whatever their bytes and length") {
    const std::string large(5'000'000, '\xff');
    append_durably(spool, "topic \xc3\xa4", "small");
    append_durably(spool, "t", large);
    const auto records = client.records(SpoolId{0});
    REQUIRE(records.size() == 2);
    CHECK(records[0].topic == "topic \xc3\xa4");
    CHECK(records[1].payload_bytes == large.size());
    CHECK(client.records(SpoolId{2}).empty());
    const auto raw = client.read_record(SpoolId{2});
    REQUIRE(raw);
    CHECK(is_intact(SpoolId{2}, *raw));
    CHECK(test::payload_of(*raw) == large);
    CHECK_FALSE(client.read_record(SpoolId{77}));
  }

  TEST_CASE_FIXTURE(Fixture, "letters are listed, read, replayed and dropped") {
    for (const char* payload : {"one", "two", "three"}) {
      append_durably(spool, "t", payload);
    }
    for (std::uint64_t id = 1; id <= 3; ++id) {
      CHECK(spool.bury(SpoolId{id}, {DeadLetterReason::bad_key, "detail \xff"}) == Burial::done);
    }
    const auto letters = client.letters(SpoolId{1});
    REQUIRE(letters.size() == 2);
    CHECK(letters[0].rejection.reason == DeadLetterReason::bad_key);
    CHECK(letters[0].rejection.detail.starts_with("detail "));
    CHECK(test::payload_of(client.read_letter(SpoolId{2}).value()) == "two");
    CHECK(client.move_letters(LetterMove::replay, {SpoolId{2}}).moved == 1);
    CHECK(client.move_letters(LetterMove::drop, {SpoolId{1}, SpoolId{3}}).moved == 2);
    CHECK(client.letters(SpoolId{0}).empty());
    CHECK(client.records(SpoolId{0}).size() == 1);
    CHECK(spool.totals().dropped == 2);
  }

  TEST_CASE_FIXTURE(Fixture, "bad requests are refused with the reason") {
    CHECK(answer_to("GET /records?after=x HTTP/1.1\r\nHost: x\r\n\r\n").find("400 Bad Request") !=
          std::string::npos);
    CHECK(answer_to(post("/dead-letters/drop", "no json")).find(" 400 ") != std::string::npos);
    CHECK(answer_to(post("/dead-letters/drop", R"({"ids":["x"]})")).find(" 400 ") !=
          std::string::npos);
    CHECK(answer_to("GET /other HTTP/1.1\r\nHost: x\r\n\r\n").find(" 404 ") != std::string::npos);
    CHECK(answers());
  }

  TEST_CASE_FIXTURE(Fixture, "only the owner may use it") {
    struct stat info {};
    REQUIRE(::stat((folder / "control").c_str(), &info) == 0);
    CHECK((info.st_mode & 0777) == 0600);
  }

  TEST_CASE_FIXTURE(Fixture, "a stop cuts what is open, and a socket that is left is replaced") {
    server.stop();
    CHECK_FALSE(answers());
    ControlServer next(folder, spool);
    next.start();
    CHECK(eventually([&] { return answers(); }));
  }
}

}  // namespace
