// http, control: any bytes as a request. First what makes requests of bytes (Beast's parser and the
// rules around it), which must not depend on how the bytes are cut; then the same on the control
// socket of a running spool, with the routes of `mqtt-to-blob spool` and `dead-letter`. The status
// listener has the same server.

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <future>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include "fuzz/checks.hpp"
#include "http/request_reader.hpp"
#include "http/unix_address.hpp"
#include "m2b/control/control_server.hpp"
#include "m2b/spool/spool.hpp"
#include "m2b/util/log.hpp"
#include "support/messages.hpp"
#include "support/temp_dir.hpp"

namespace {

using namespace m2b;
using fuzz::require;

constexpr std::size_t kMaxHeader = 8192;
constexpr std::size_t kMaxBody = std::size_t{64} << 10;

/// The request, as a text; empty where the bytes are none, or not a whole one.
std::string request_of(std::string_view bytes, std::size_t piece) {
  RequestReader reader(kMaxHeader, kMaxBody);
  auto progress = RequestReader::Progress::incomplete;
  for (; progress == RequestReader::Progress::incomplete && !bytes.empty();
       bytes.remove_prefix(std::min(piece, bytes.size()))) {
    progress = reader.take(bytes.substr(0, piece));
  }
  if (progress == RequestReader::Progress::refused) {
    const int status = reader.refusal().status;
    require(status >= 400 && status < 500, "a refusal is the client's fault");
  }
  if (progress != RequestReader::Progress::complete) return {};
  const HttpRequest request = std::move(reader).request();
  require(fuzz::is_one_visible_line(request.method), "a method is visible");
  require(request.path.find_first_of(std::string_view(" \r\n\0", 4)) == std::string::npos,
          "a path has neither blanks nor ends of lines");
  require(request.body.size() <= kMaxBody && request.fields.size() <= 100, "a request is bounded");
  require(request.field("transfer-encoding").empty(), "a body has no transfer coding");
  std::string text = request.method + " " + request.path + "?" + request.query + "\n";
  for (const HttpField& field : request.fields) text += field.name + ": " + field.value + "\n";
  return text + "\n" + request.body;
}

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
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::string whole = request_of(input, std::max<std::size_t>(size, 1));
  require(whole == request_of(input, 1), "how a request is cut does not change it");
  require(whole == request_of(input, 7), "how a request is cut does not change it");

  static Daemon daemon;
  daemon.refill();
  std::string answer = daemon.ask(input);
  constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
  if (answer.starts_with(kContinue)) answer.erase(0, kContinue.size());
  if (answer.empty()) {
    require(whole.empty(), "a whole request is answered");
    return 0;
  }
  require(answer.starts_with("HTTP/1.1 "), "an answer is HTTP");
  const std::size_t head = answer.find("\r\n\r\n");
  require(head != std::string::npos, "an answer has a head");
  require(fuzz::is_one_visible_line(answer.substr(0, answer.find('\r'))), "and one status line");
  const auto says = [&](const char* text) {
    return answer.substr(0, head).find(text) != std::string::npos;
  };
  require(!says("Content-Encoding") && !says("Content-Range") && !says("Transfer-Encoding"),
          "an answer is as it is");
  if (says("application/json")) {
    require(fuzz::is_one_visible_line(std::string_view(answer).substr(head + 4)),
            "JSON is one visible line");
  }
  return 0;
}
