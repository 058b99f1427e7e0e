#include "mqtt/late_ack_check.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <stdexcept>
#include <string_view>
#include <system_error>
#include <vector>

#include "m2b/mqtt/options.hpp"
#include "m2b/util/fd.hpp"
#include "mqtt/paho_client.hpp"

namespace m2b {
namespace {

using namespace std::string_view_literals;

constexpr std::chrono::seconds kPatience{3};

// MQTT 3.1.1, sections 3.2, 3.3 and 3.4: what the broker sends, and what it is to get.
constexpr std::string_view kConnack = "\x20\x02\x00\x00"sv;
constexpr std::string_view kPublishes =
    "\x32\x06\x00\x01t\x00\x07p\x33\x08\x00\x01t\x00\x08pic\x32\x06\x00\x01t\x00\x09p"sv;
constexpr std::string_view kPubacks = "\x40\x02\x00\x07\x40\x02\x00\x08\x40\x02\x00\x09"sv;
constexpr std::string_view kLargePayload = "pic";

[[noreturn]] void fail(const char* what) {
  throw std::system_error(errno, std::system_category(), what);
}

/// As much of a broker as the check needs.
class Broker {
 public:
  Broker() : listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    auto* const any = reinterpret_cast<sockaddr*>(&address);
    socklen_t size = sizeof(address);
    if (!listener_ || ::bind(listener_.get(), any, size) != 0 ||
        ::listen(listener_.get(), 1) != 0 || ::getsockname(listener_.get(), any, &size) != 0) {
      fail("cannot listen on the loopback");
    }
    port_ = ntohs(address.sin_port);
  }

  [[nodiscard]] std::uint16_t port() const noexcept { return port_; }

  void accept() {
    wait_for(listener_, "no connection");
    client_ = Fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!client_) {
      fail("accept");
    }
  }
  void send(std::string_view bytes) const {
    if (::send(client_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) !=
        static_cast<ssize_t>(bytes.size())) {
      fail("send");
    }
  }
  /// What comes next, at least one byte.
  [[nodiscard]] std::string receive() const {
    wait_for(client_, "no answer");
    std::array<char, 512> buffer{};
    const ssize_t size = ::recv(client_.get(), buffer.data(), buffer.size(), 0);
    if (size <= 0) {
      fail("recv");
    }
    return {buffer.data(), static_cast<std::size_t>(size)};
  }
  [[nodiscard]] bool has_received_nothing() const { return !is_readable(client_, {}); }

 private:
  [[nodiscard]] static bool is_readable(const Fd& socket, std::chrono::milliseconds patience) {
    pollfd poll{.fd = socket.get(), .events = POLLIN, .revents = 0};
    return ::poll(&poll, 1, static_cast<int>(patience.count())) > 0;
  }
  static void wait_for(const Fd& socket, const char* otherwise) {
    if (!is_readable(socket, kPatience)) {
      throw std::runtime_error(otherwise);
    }
  }

  Fd listener_;
  std::uint16_t port_ = 0;
  Fd client_;
};

/// Keeps the messages.
class Messages final : public paho::Events {
 public:
  void on_connected(bool /*session_present*/,
                    const ConnackProperties& /*properties*/) noexcept override {}
  void on_connect_failed(int /*code*/, bool /*dropped*/,
                         const BrokerStatement& /*statement*/) noexcept override {}
  void on_connection_lost() noexcept override {}
  void on_server_disconnect(int /*reason_code*/,
                            const BrokerStatement& /*statement*/) noexcept override {}
  void on_suback(std::vector<int> /*codes*/,
                 const BrokerStatement& /*statement*/) noexcept override {}
  void on_disconnected() noexcept override {}
  void on_message(paho::Message message) noexcept override {
    const std::lock_guard lock(mutex_);
    acks_.push_back(message.ack());
    arrived_.notify_all();
  }

  void on_large_message(const paho::LargeMessage& message) noexcept override {
    const MessageView& view = message.view();
    const std::lock_guard lock(mutex_);
    borrows_rightly_ = view.topic == "t" && view.payload == kLargePayload && view.qos == 1 &&
                       view.retained && !view.duplicate;
    acks_.push_back(message.ack());
    arrived_.notify_all();
  }

  /// Whether the message that is large here came as such, and is what was sent.
  [[nodiscard]] bool borrows_rightly() const {
    const std::lock_guard lock(mutex_);
    return borrows_rightly_;
  }
  [[nodiscard]] std::vector<paho::Ack> wait_for(std::size_t count) {
    std::unique_lock lock(mutex_);
    if (!arrived_.wait_for(lock, kPatience, [&] { return acks_.size() >= count; })) {
      throw std::runtime_error("messages did not arrive");
    }
    return acks_;
  }

 private:
  mutable std::mutex mutex_;  // guards the fields below
  bool borrows_rightly_ = false;
  std::condition_variable arrived_;
  std::vector<paho::Ack> acks_;
};

void exchange() {
  Broker broker;
  MqttOptions options;
  options.host = "127.0.0.1";
  options.port = broker.port();
  Messages messages;
  paho::Client client(options, "check", MqttVersion::v3_1_1, paho::AckTime::when_told, messages, "",
                      kLargePayload.size());
  client.connect({});
  broker.accept();
  static_cast<void>(broker.receive());  // CONNECT
  broker.send(kConnack);
  broker.send(kPublishes);
  const std::vector<paho::Ack> acks = messages.wait_for(3);
  if (!messages.borrows_rightly()) {
    throw std::runtime_error("a message cannot be borrowed from the receive buffer");
  }
  // Paho would have answered the first before it handed over the second.
  if (!broker.has_received_nothing()) {
    throw std::runtime_error("an acknowledgement left by itself");
  }
  if (client.acknowledge(acks) != acks.size()) {
    throw std::runtime_error("acknowledgements cannot be sent");
  }
  std::string answer;
  while (answer.size() < kPubacks.size()) {
    answer += broker.receive();
  }
  if (answer != kPubacks) {
    throw std::runtime_error("other acknowledgements left than were sent");
  }
}

}  // namespace

std::string check_late_ack() {
  if (!paho::LateAck::is_linked()) {
    return "this program was built without Paho's static library";
  }
  try {
    exchange();
    return {};
  } catch (const std::runtime_error& error) {
    return error.what();
  }
}

}  // namespace m2b
