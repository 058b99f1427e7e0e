#include "util/log_output.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>
#include <string>
#include <thread>

#include "m2b/util/fd.hpp"
#include "m2b/util/thread.hpp"
#include "support/eventually.hpp"
#include "support/temp_dir.hpp"

namespace {

TEST_SUITE("log_output") {
  using namespace m2b;
  using namespace std::chrono_literals;

  constexpr std::size_t kKept = 100'000;

  struct Ends {
    Fd reader;
    Fd writer;
  };
  Ends pipe_ends() {
    std::array<int, 2> fds{};
    REQUIRE(::pipe2(fds.data(), O_CLOEXEC) == 0);
    return {Fd(fds[0]), Fd(fds[1])};
  }
  Ends socket_ends() {
    std::array<int, 2> fds{};
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds.data()) == 0);
    return {Fd(fds[0]), Fd(fds[1])};
  }

  std::string line(int number, std::size_t bytes = 500) {
    std::string text = std::to_string(number) + " ";
    text.resize(bytes - 1, 'x');
    return text + '\n';
  }

  /// All that comes until the writing end is closed or `last` was seen.
  std::string read_until(const Fd& reader, const std::string& last) {
    std::string text;
    std::array<char, 65536> piece{};
    while (text.find(last) == std::string::npos) {
      const ssize_t bytes = ::read(reader.get(), piece.data(), piece.size());
      if (bytes <= 0) break;
      text.append(piece.data(), static_cast<std::size_t>(bytes));
    }
    return text;
  }

  /// Whether it is lines 0 to count - 1 as line() makes them.
  bool holds_lines(const std::string& text, int count, std::size_t bytes = 500) {
    std::string expected;
    for (int i = 0; i < count; ++i) expected += line(i, bytes);
    return text == expected;
  }

  TEST_CASE("a line is written at once where there is room") {
    for (const Ends& ends : {pipe_ends(), socket_ends()}) {
      LogOutput output(ends.writer.get());
      output.write("one\n");
      output.write("two\n");
      CHECK(read_until(ends.reader, "two\n") == "one\ntwo\n");
      CHECK((::fcntl(ends.writer.get(), F_GETFL) & O_NONBLOCK) == 0);  // others share it
    }
  }

  TEST_CASE("a full pipe holds up nobody; what was kept comes, whole and in order") {
    for (const Ends& ends : {pipe_ends(), socket_ends()}) {
      LogOutput output(ends.writer.get(), kKept);
      int written = 0;
      while (output.dropped() == 0) output.write(line(written++));  // and does not hang
      for (int i = 0; i < 10; ++i) output.write(line(999));
      CHECK(output.dropped() == 11);
      CHECK(output.take_untold() == 0);  // the pipe is still full

      std::atomic<int> clear = 0;
      const std::jthread drainer = start_thread(
          "drain", [&](const std::stop_token& stop) { output.drain(stop, [&] { ++clear; }); });
      std::string text = read_until(ends.reader, "\n" + std::to_string(written - 2) + " ");
      CHECK(test::eventually([&] { return clear > 0; }));
      CHECK(output.take_untold() == 11);
      CHECK(output.take_untold() == 0);
      output.write("end\n");
      text += read_until(ends.reader, "end\n");
      CHECK(text.ends_with("end\n"));
      text.resize(text.size() - 4);
      CHECK(holds_lines(text, written - 1));
    }
  }

  TEST_CASE("lines longer than the pipe are whole") {
    const Ends ends = pipe_ends();
    LogOutput output(ends.writer.get());
    constexpr std::size_t kLong = 300'000;
    for (int i = 0; i < 3; ++i) output.write(line(i, kLong));
    std::jthread reader([&] {
      std::string text;
      while (text.size() < 3 * kLong) {
        std::array<char, 65536> piece{};
        const ssize_t bytes = ::read(ends.reader.get(), piece.data(), piece.size());
        text.append(piece.data(), static_cast<std::size_t>(bytes));
      }
      CHECK(holds_lines(text, 3, kLong));
    });
    output.flush(60s);
    reader.join();
    CHECK(output.dropped() == 0);
  }

  TEST_CASE("the end waits for a reader that is slow, and not for one that is none") {
    const Ends ends = pipe_ends();
    LogOutput output(ends.writer.get(), kKept);
    while (output.dropped() == 0) output.write(line(0));
    const auto before = std::chrono::steady_clock::now();
    output.flush(50ms);
    CHECK(std::chrono::steady_clock::now() - before >= 50ms);
  }

  TEST_CASE("nobody reads any more: lines are lost, counted, and nothing else happens") {
    auto* const handler = std::signal(SIGPIPE, SIG_IGN);
    Ends ends = pipe_ends();
    LogOutput output(ends.writer.get(), kKept);
    output.write("one\n");
    ends.reader = Fd();
    output.write("two\n");
    CHECK(output.dropped() == 1);
    LogOutput late(ends.writer.get(), kKept);  // cannot open such a pipe once more
    late.write("three\n");
    CHECK(late.dropped() == 1);
    LogOutput closed(-1);
    closed.write("four\n");
    CHECK(closed.dropped() == 1);
    std::signal(SIGPIPE, handler);
  }

  TEST_CASE("a file is written where it was, not from its beginning") {
    const test::TempDir dir;
    const std::string path = (dir.path() / "log").string();
    const Fd file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    REQUIRE(::write(file.get(), "before\n", 7) == 7);
    LogOutput output(file.get());
    output.write("line\n");
    std::array<char, 64> text{};
    CHECK(::pread(file.get(), text.data(), text.size(), 0) == 12);
    CHECK(std::string(text.data()) == "before\nline\n");
  }
}

}  // namespace
