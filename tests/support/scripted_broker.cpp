#include "support/scripted_broker.hpp"

#include <poll.h>
#include <sys/socket.h>

#include <stdexcept>

namespace m2b::test {
namespace {

constexpr int kPatienceMilliseconds = 10'000;

std::string text_field(std::string_view text) {
  return std::string{static_cast<char>(text.size() >> 8), static_cast<char>(text.size() & 0xFF)} +
         std::string(text);
}

std::string packet_id_field(std::uint16_t id) {
  return {static_cast<char>(id >> 8), static_cast<char>(id & 0xFF)};
}

/// Fixed header with the remaining length as a variable byte integer (MQTT 5, section 1.5.5).
std::string packet(int first_byte, const std::string& body) {
  std::string bytes(1, static_cast<char>(first_byte));
  std::size_t left = body.size();
  do {
    const auto low = static_cast<unsigned char>(left % 128);
    left /= 128;
    bytes += static_cast<char>(left > 0 ? low | 0x80U : low);
  } while (left > 0);
  return bytes + body;
}

bool is_readable_within(const Fd& fd, int milliseconds) {
  pollfd waiting{fd.get(), POLLIN, 0};
  return ::poll(&waiting, 1, milliseconds) == 1;
}

}  // namespace

int ScriptedBroker::Packet::protocol_level() const {
  constexpr std::size_t kBehindName = 6;  // length and "MQTT"
  return body.at(kBehindName);
}

std::uint16_t ScriptedBroker::Packet::packet_id() const {
  return static_cast<std::uint16_t>(static_cast<unsigned char>(body.at(0)) << 8 |
                                    static_cast<unsigned char>(body.at(1)));
}

void ScriptedBroker::accept() {
  if (!is_called_within(kPatienceMilliseconds)) {
    throw std::runtime_error("no client came");
  }
  client_ = Fd(::accept4(listener_.socket.get(), nullptr, nullptr, SOCK_CLOEXEC));
}

bool ScriptedBroker::is_called_within(int milliseconds) const {
  return is_readable_within(listener_.socket, milliseconds);
}

std::string ScriptedBroker::read_bytes(std::size_t count) {
  std::string bytes;
  while (bytes.size() < count) {
    if (!is_readable_within(client_, kPatienceMilliseconds)) {
      throw std::runtime_error("the client sent nothing");
    }
    std::string part(count - bytes.size(), '\0');
    const ssize_t got = ::recv(client_.get(), part.data(), part.size(), 0);
    if (got <= 0) {
      throw std::runtime_error("the client has gone");
    }
    bytes.append(part, 0, static_cast<std::size_t>(got));
  }
  return bytes;
}

ScriptedBroker::Packet ScriptedBroker::read() {
  const auto first = static_cast<unsigned char>(read_bytes(1)[0]);
  std::size_t length = 0;
  for (unsigned shift = 0;; shift += 7) {
    const auto byte = static_cast<unsigned char>(read_bytes(1)[0]);
    length |= std::size_t{byte & 0x7FU} << shift;
    if ((byte & 0x80U) == 0) {
      break;
    }
  }
  return {static_cast<Type>(first >> 4), read_bytes(length)};
}

std::optional<ScriptedBroker::Packet> ScriptedBroker::read_within(int milliseconds) {
  return is_readable_within(client_, milliseconds) ? std::optional(read()) : std::nullopt;
}

ScriptedBroker::Packet ScriptedBroker::expect(Type type) {
  Packet packet = read();
  if (packet.type != type) {
    throw std::runtime_error("packet type " + std::to_string(static_cast<int>(packet.type)) +
                             " instead of " + std::to_string(static_cast<int>(type)));
  }
  return packet;
}

ScriptedBroker::Packet ScriptedBroker::answer_connect(bool session_present, int code,
                                                      std::string_view properties) {
  accept();
  Packet connect = expect(Type::connect);
  v5_ = connect.protocol_level() == 5;
  std::string body{static_cast<char>(session_present ? 1 : 0), static_cast<char>(code)};
  if (v5_) {
    body += static_cast<char>(properties.size());
    body += properties;
  }
  send(packet(0x20, body));
  return connect;
}

ScriptedBroker::Packet ScriptedBroker::answer_subscription(std::string_view codes,
                                                           std::string_view properties) {
  Packet subscribe = expect(Type::subscribe);
  std::string body = packet_id_field(subscribe.packet_id());
  if (v5_) {
    body += static_cast<char>(properties.size());
    body += properties;
  }
  send(packet(0x90, body + std::string(codes)));
  return subscribe;
}

ScriptedBroker::Packet ScriptedBroker::grant_subscription(std::size_t filters, int qos) {
  Packet last;
  for (std::size_t i = 0; i < filters; ++i) {
    last = answer_subscription(std::string(1, static_cast<char>(qos)));
  }
  return last;
}

std::string ScriptedBroker::publication(std::uint16_t packet_id, std::string_view topic,
                                        std::string_view payload, int qos) const {
  std::string body = text_field(topic);
  if (qos > 0) {
    body += packet_id_field(packet_id);
  }
  if (v5_) {
    body += '\0';  // no properties
  }
  return packet(0x30 | qos << 1, body + std::string(payload));
}

void ScriptedBroker::disconnect(int code, std::string_view properties) {
  std::string body{static_cast<char>(code), static_cast<char>(properties.size())};
  send(packet(0xE0, body.append(properties)));
}

void ScriptedBroker::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(client_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) {
      throw std::runtime_error("the client does not read");
    }
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
}

}  // namespace m2b::test
