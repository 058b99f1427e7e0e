#include "bench/discard_store.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "bench/sockets.hpp"

namespace m2b::bench {
namespace {

constexpr std::string_view kHeadEnd = "\r\n\r\n";
constexpr std::string_view kStored =
    "HTTP/1.1 200 OK\r\nETag: \"d41d8cd98f00b204e9800998ecf8427e\"\r\nContent-Length: 0\r\n\r\n";
constexpr std::string_view kLocation =
    "<LocationConstraint xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"></LocationConstraint>";
constexpr std::size_t kMaxHeadBytes = std::size_t{64} << 10;
constexpr std::size_t kDiscardBytes = std::size_t{1} << 20;

/// 0 without the header; nothing where it is no number.
std::optional<std::size_t> content_length(std::string_view head) {
  constexpr std::string_view kName = "\r\ncontent-length:";
  const auto found = std::search(head.begin(), head.end(), kName.begin(), kName.end(),
                                 [](char a, char b) { return (a | 0x20) == (b | 0x20); });
  if (found == head.end()) return 0;
  const char* text = &*found + kName.size();
  while (*text == ' ') ++text;
  std::size_t length = 0;
  if (std::from_chars(text, head.data() + head.size(), length).ec != std::errc()) {
    return std::nullopt;
  }
  return length;
}

/// The head of the next request, with what came behind it; empty at the end of the connection.
class HeadReader {
 public:
  explicit HeadReader(int socket) : socket_(socket) {}

  [[nodiscard]] std::string_view next() {
    buffer_.erase(0, used_);
    used_ = 0;
    std::size_t end = buffer_.find(kHeadEnd);
    while (end == std::string::npos) {
      std::array<char, 4096> part;  // NOLINT(cppcoreguidelines-pro-type-member-init): filled next
      const ssize_t got = ::recv(socket_, part.data(), part.size(), 0);
      if (got <= 0 || buffer_.size() > kMaxHeadBytes) return {};
      buffer_.append(part.data(), static_cast<std::size_t>(got));
      end = buffer_.find(kHeadEnd);
    }
    used_ = end + kHeadEnd.size();
    return {buffer_.data(), used_};
  }

  /// Drops so many bytes behind the head; the head stays valid. False at the connection's end.
  [[nodiscard]] bool discard(std::size_t bytes) {
    const std::size_t here = std::min(bytes, buffer_.size() - used_);
    used_ += here;
    bytes -= here;
    while (bytes > 0) {
      // MSG_TRUNC: the kernel drops the bytes and copies nothing (tcp(7)).
      const ssize_t got =
          ::recv(socket_, nullptr, std::min(bytes, kDiscardBytes), MSG_TRUNC | MSG_WAITALL);
      if (got <= 0) return false;
      bytes -= static_cast<std::size_t>(got);
    }
    return true;
  }

 private:
  int socket_;
  std::string buffer_;
  std::size_t used_ = 0;
};

}  // namespace

DiscardStore::DiscardStore(AnswerListener on_answer)
    : on_answer_(std::move(on_answer)), server_("discard", [this](int socket) { serve(socket); }) {}

void DiscardStore::serve(int socket) const {
  const std::string location = fmt::format(
      "HTTP/1.1 200 OK\r\nContent-Type: application/xml\r\nContent-Length: {}\r\n\r\n{}",
      kLocation.size(), kLocation);
  HeadReader reader(socket);
  while (true) {
    const std::string_view head = reader.next();
    if (head.empty()) return;
    const auto body_bytes = content_length(head);
    if (!body_bytes || !reader.discard(*body_bytes)) return;
    on_answer_(head);
    if (!send_all(socket, head.starts_with("PUT ") ? kStored : std::string_view(location))) return;
  }
}

}  // namespace m2b::bench
