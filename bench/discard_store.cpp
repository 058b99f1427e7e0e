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
/// Followed by the checksum that came with the request, which is taken for a proof from a store
/// that refuses a wrong one.
constexpr std::string_view kStored =
    "HTTP/1.1 200 OK\r\nETag: \"discarded\"\r\nContent-Length: 0\r\nx-amz-checksum-sha256:";
constexpr std::string_view kWrongChecksum =
    "HTTP/1.1 400 Bad Request\r\nContent-Length: 37\r\n\r\n<Error><Code>BadDigest</Code></Error>";
constexpr std::string_view kLocation =
    "<LocationConstraint xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"></LocationConstraint>";
constexpr std::string_view kAccessDenied =
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>AccessDenied</Code>"
    "<Message>Access Denied.</Message><RequestId>discard</RequestId></Error>";
constexpr std::size_t kMaxHeadBytes = std::size_t{64} << 10;
constexpr std::size_t kDiscardBytes = std::size_t{1} << 20;

/// From the colon on, to the end of the line; nothing where there is none. `name` begins with the
/// end of the line before and is in lower case.
std::optional<std::string_view> header(std::string_view head, std::string_view name) {
  const auto found = std::search(head.begin(), head.end(), name.begin(), name.end(),
                                 [](char a, char b) { return (a | 0x20) == (b | 0x20); });
  if (found == head.end()) return std::nullopt;
  const std::string_view rest =
      head.substr(static_cast<std::size_t>(found - head.begin()) + name.size());
  return rest.substr(0, rest.find('\r'));
}

/// 0 without the header; nothing where it is no number.
std::optional<std::size_t> content_length(std::string_view head) {
  auto text = header(head, "\r\ncontent-length:");
  if (!text) return 0;
  text->remove_prefix(std::min(text->find_first_not_of(' '), text->size()));
  std::size_t length = 0;
  if (std::from_chars(text->data(), text->data() + text->size(), length).ec != std::errc()) {
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

std::string xml_answer(std::string_view status, std::string_view body) {
  return fmt::format("HTTP/1.1 {}\r\nContent-Type: application/xml\r\nContent-Length: {}\r\n\r\n{}",
                     status, body.size(), body);
}

}  // namespace

DiscardStore::DiscardStore(AnswerListener on_answer, RefusalRule is_refused)
    : on_answer_(std::move(on_answer)),
      is_refused_(std::move(is_refused)),
      server_("discard", [this](int socket) { serve(socket); }) {}

void DiscardStore::serve(int socket) const {
  const std::string location = xml_answer("200 OK", kLocation);
  const std::string refused = xml_answer("403 Forbidden", kAccessDenied);
  std::string stored;
  std::string target;  // of the last upload
  HeadReader reader(socket);
  while (true) {
    const std::string_view head = reader.next();
    if (head.empty()) return;
    const auto body_bytes = content_length(head);
    if (!body_bytes || !reader.discard(*body_bytes)) return;
    on_answer_(head);
    if (!head.starts_with("PUT ")) {
      if (!send_all(socket, location)) return;
      continue;
    }
    if (is_refused_ && is_refused_(head)) {
      if (!send_all(socket, refused)) return;
      continue;
    }
    // To hash would take this machine's time. The same object at once with another checksum is the
    // question whether we do.
    const std::string before = std::move(stored);
    const bool is_same =
        std::exchange(target, head.substr(0, head.find('\r'))) == head.substr(0, head.find('\r'));
    stored = kStored;
    stored += header(head, "\r\nx-amz-checksum-sha256:").value_or("");
    stored += kHeadEnd;
    if (!send_all(socket, is_same && stored != before ? kWrongChecksum : stored)) return;
  }
}

}  // namespace m2b::bench
