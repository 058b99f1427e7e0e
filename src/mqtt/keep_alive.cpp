#include "mqtt/keep_alive.hpp"

#include <algorithm>
#include <mutex>
#include <utility>
#include <vector>

#include "mqtt/arrival.hpp"
#include "mqtt/late_ack.hpp"
#include "mqtt/paho_client.hpp"
#include "mqtt/paho_internals.hpp"

namespace m2b::paho {

bool KeepAlive::is_linked() noexcept { return LateAck::is_linked(); }

KeepAlive::KeepAlive(Events& events, std::string client_id) noexcept
    : events_(events), client_id_(std::move(client_id)) {}

}  // namespace m2b::paho

#ifdef M2B_LATE_ACK

namespace m2b::paho {
namespace {

/// While bytes wait for the socket.
constexpr std::chrono::milliseconds kFullSocketRetry{200};
constexpr suseconds_t kMicroseconds = 1'000'000;

}  // namespace

/// Paho gives the functions that we hook into no context of ours, so this is the process's.
class KeepAlive::Registry {
 public:
  void add(const void* connection, KeepAlive& object) {
    const std::lock_guard lock(mutex_);
    objects_.emplace_back(connection, &object);
  }
  void remove(const KeepAlive& object) noexcept {
    const std::lock_guard lock(mutex_);
    std::erase_if(objects_, [&](const auto& known) { return known.second == &object; });
  }
  /// The memory of a connection that has ended may already be that of another one, so there may be
  /// several.
  void arrived(const void* connection, PacketProgress progress) noexcept {
    const std::lock_guard lock(mutex_);
    for (const auto& [known, object] : objects_) {
      if (known == connection) {
        object->events_.on_heard(progress);
        object->ping_if_due_locked();
      }
    }
  }

 private:
  std::mutex mutex_;  // guards the field below; taken after Paho's lock
  std::vector<std::pair<const void*, KeepAlive*>> objects_;
};

KeepAlive::Registry& KeepAlive::registry() {
  static Registry instance;
  return instance;
}

KeepAlive::~KeepAlive() { registry().remove(*this); }

void KeepAlive::begin(std::chrono::seconds interval) noexcept {
  ping_after_ = std::chrono::milliseconds(interval) / 2;
  if (connection_ == nullptr && Arrival::current().connection != nullptr) {
    connection_ = Arrival::current().connection;
    registry().add(connection_, *this);
  }
}

KeepAlive::Clock::time_point KeepAlive::ping_if_due() {
  const PahoLock lock;
  return Clock::now() + ping_if_due_locked();
}

void KeepAlive::ping_in_callback() noexcept {
  ping_if_due_locked();
  // Paho reads nothing meanwhile, so the time by which it misses an answer begins anew.
  auto* const net = static_cast<Net*>(connection_);
  if (net != nullptr && net->last_ping.tv_usec >= 0 && net->last_ping.tv_usec < kMicroseconds) {
    net->last_ping = MQTTTime_now();
  }
}

/// Says for how long none is due.
KeepAlive::Clock::duration KeepAlive::ping_if_due_locked() noexcept {
  auto* const net = static_cast<Net*>(connection_);
  if (net == nullptr || net->socket <= 0 || ping_after_.count() <= 0) {
    return std::chrono::hours(1);  // there is no connection
  }
  const timeval now = MQTTTime_now();
  timeval since_sent{};
  timersub(&now, &net->last_sent, &since_sent);
  const auto silent_for = std::chrono::duration_cast<std::chrono::milliseconds>(
      std::chrono::seconds(since_sent.tv_sec) + std::chrono::microseconds(since_sent.tv_usec));
  if (silent_for < ping_after_) {
    return std::min(ping_after_ - silent_for, ping_after_);
  }
  if (Socket_noPendingWrites(net->socket) == 0) {
    return kFullSocketRetry;
  }
  if (MQTTPacket_send_pingreq(net, client_id_.c_str()) != kComplete) {
    return kFullSocketRetry;  // a part of it waits for the socket, or Paho is about to find its end
  }
  return ping_after_;
}

void KeepAlive::on_arrival(const void* connection, PacketProgress progress) noexcept {
  registry().arrived(connection, progress);
}

}  // namespace m2b::paho

#else  // without Paho's static library

namespace m2b::paho {

KeepAlive::~KeepAlive() = default;
void KeepAlive::begin(std::chrono::seconds interval) noexcept { ping_after_ = interval / 2; }
KeepAlive::Clock::time_point KeepAlive::ping_if_due() { return Clock::time_point::max(); }
void KeepAlive::ping_in_callback() noexcept {}
void KeepAlive::on_arrival(const void* /*connection*/, PacketProgress /*progress*/) noexcept {}

}  // namespace m2b::paho

#endif
