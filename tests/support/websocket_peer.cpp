#include "support/websocket_peer.hpp"

#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <stdexcept>

#include <openssl/evp.h>

namespace m2b::test {
namespace {

constexpr int kPeerPatienceMilliseconds = 10'000;
constexpr std::string_view kEndOfHead = "\r\n\r\n";

void wait_until_readable(const Fd& fd, const char* otherwise) {
  pollfd waiting{fd.get(), POLLIN, 0};
  if (::poll(&waiting, 1, kPeerPatienceMilliseconds) != 1) {
    throw std::runtime_error(otherwise);
  }
}

/// Sec-WebSocket-Accept for the key of a request (RFC 6455, section 4.2.2).
std::string accept_of(const std::string& request) {
  constexpr std::string_view kName = "Sec-WebSocket-Key: ";
  const std::size_t start = request.find(kName) + kName.size();
  const std::string text = request.substr(start, request.find('\r', start) - start) +
                           "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  EVP_Digest(text.data(), text.size(), digest.data(), &size, EVP_sha1(), nullptr);
  std::array<unsigned char, 2 * EVP_MAX_MD_SIZE> encoded{};
  const int length = EVP_EncodeBlock(encoded.data(), digest.data(), static_cast<int>(size));
  return {encoded.begin(), encoded.begin() + length};
}

}  // namespace

void WebSocketPeer::accept() {
  wait_until_readable(listener_.socket, "no client came");
  client_ = Fd(::accept4(listener_.socket.get(), nullptr, nullptr, SOCK_CLOEXEC));
}

std::string WebSocketPeer::read_bytes(std::size_t count) {
  std::string bytes;
  while (bytes.size() < count) {
    wait_until_readable(client_, "the client sent nothing");
    std::string part(count - bytes.size(), '\0');
    const ssize_t got = ::recv(client_.get(), part.data(), part.size(), 0);
    if (got <= 0) {
      throw std::runtime_error("the client has gone");
    }
    bytes.append(part, 0, static_cast<std::size_t>(got));
  }
  return bytes;
}

std::string WebSocketPeer::read_request() {
  std::string head;
  while (!head.ends_with(kEndOfHead)) {
    head += read_bytes(1);
  }
  return head;
}

std::string WebSocketPeer::upgrade() {
  accept();
  std::string request = read_request();
  send(
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
      "Sec-WebSocket-Protocol: mqtt\r\nSec-WebSocket-Accept: " +
      accept_of(request) + std::string(kEndOfHead));
  return request;
}

WebSocketPeer::Frame WebSocketPeer::read_frame() {
  constexpr std::size_t kMaskBytes = 4;
  const std::string head = read_bytes(2);
  const std::string mask = read_bytes(kMaskBytes);
  Frame frame{head[0] & 0x0F, read_bytes(static_cast<std::size_t>(head[1] & 0x7F))};
  for (std::size_t i = 0; i < frame.payload.size(); ++i) {
    frame.payload[i] = static_cast<char>(frame.payload[i] ^ mask[i % kMaskBytes]);
  }
  return frame;
}

void WebSocketPeer::send_frame(int opcode, std::string_view payload) {
  send(std::string{static_cast<char>(0x80 | opcode), static_cast<char>(payload.size())} +
       std::string(payload));
}

void WebSocketPeer::send(std::string_view bytes) {
  if (::send(client_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) !=
      static_cast<ssize_t>(bytes.size())) {
    throw std::runtime_error("the client takes nothing");
  }
}

bool WebSocketPeer::sees_end() {
  std::array<char, 512> dropped{};
  ssize_t got = 1;
  while (got > 0) {
    wait_until_readable(client_, "the client stays");
    got = ::recv(client_.get(), dropped.data(), dropped.size(), 0);
  }
  return true;
}

}  // namespace m2b::test
