// http, control: any bytes on the control socket of a running spool. httplib and the limits around
// it are the status listener's as well; the routes are those of `mqtt-to-blob spool` and
// `dead-letter`. httplib is Debian's library and is not instrumented, so that the fuzzer does not
// see its branches: the dictionary stands in for that.

#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cstdint>
#include <future>
#include <string>
#include <string_view>
#include <thread>

#include "fuzz/checks.hpp"
#include "http/unix_address.hpp"
#include "m2b/control/control_server.hpp"
#include "m2b/spool/spool.hpp"
#include "m2b/util/log.hpp"
#include "support/messages.hpp"
#include "support/temp_dir.hpp"

namespace {

using namespace m2b;
using fuzz::require;

class Daemon {
 public:
  Daemon() {
    log::set_level(log::Level::critical);
    server_.start();
    while (ask("GET /spool HTTP/1.1\r\n\r\n").empty()) std::this_thread::yield();
  }

  /// The whole answer; empty where the connection is closed without one.
  [[nodiscard]] std::string ask(std::string_view request) const {
    const UnixAddress address(dir_.path() / "control");
    const Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (::connect(fd.get(), address.get(), address.size()) != 0) return {};
    // What the server has no room for it will not read: it may close before we are done.
    static_cast<void>(
        ::send(fd.get(), request.data(), request.size(), MSG_NOSIGNAL | MSG_DONTWAIT));
    ::shutdown(fd.get(), SHUT_WR);
    std::string answer;
    std::array<char, 65'536> part{};
    while (is_readable(fd)) {
      const ssize_t count = ::recv(fd.get(), part.data(), part.size(), 0);
      if (count <= 0) return answer;
      answer.append(part.data(), static_cast<std::size_t>(count));
    }
    require(false, "a request does not hold its connection");
    return answer;
  }

  /// So that there is always something to be asked for, and never much.
  void refill() {
    while (spool_.totals().dead_lettered < 2) {
      test::append_durably(spool_, "ia/\x1b[2J\"", "payload");
      const auto id = spool_.last_id();
      require(id && spool_.bury(*id, {DeadLetterReason::not_json, "x"}) == Burial::done, "buried");
    }
    if (spool_.totals().waiting() == 0) test::append_durably(spool_, "t", "waits");
    if (spool_.totals().waiting() > 20) {
      const auto waiting = spool_.list(SpoolId{0}, 20);
      for (const SpoolEntry& entry : waiting.value())
        static_cast<void>(spool_.remove_stored(entry.id));
    }
  }

 private:
  /// In short steps: where the whole process is stopped for a while, one of them passes, not all.
  static bool is_readable(const Fd& fd) {
    constexpr int kSteps = 40;
    constexpr int kStepMs = 250;
    pollfd readable{fd.get(), POLLIN, 0};
    for (int step = 0; step < kSteps; ++step) {
      if (::poll(&readable, 1, kStepMs) == 1) return true;
    }
    return false;
  }

  test::TempDir dir_;
  Spool spool_{{.directory = dir_.path(), .min_free_bytes = 0}};
  ControlServer server_{dir_.path(), spool_};
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static Daemon daemon;
  daemon.refill();
  const std::string answer = daemon.ask({reinterpret_cast<const char*>(data), size});
  if (answer.empty()) return 0;
  require(answer.starts_with("HTTP/1.1 "), "an answer is HTTP");
  const std::size_t head = answer.find("\r\n\r\n");
  require(head != std::string::npos, "an answer has a head");
  require(fuzz::is_one_visible_line(answer.substr(0, answer.find('\r'))), "and one status line");
  const auto says = [&](const char* text) {
    return answer.substr(0, head).find(text) != std::string::npos;
  };
  const bool is_whole_json =
      says("application/json") && !says("Content-Encoding") && !says("Content-Range");
  if (is_whole_json) {
    require(fuzz::is_one_visible_line(std::string_view(answer).substr(head + 4)),
            "JSON is one visible line");
  }
  return 0;
}
