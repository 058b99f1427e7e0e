#include "mqtt/large_messages.hpp"

#ifdef M2B_LATE_ACK

#include <MQTTAsync.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <utility>
#include <vector>

#include "mqtt/arrival.hpp"

/// The beginning of Paho's Publish. check_late_ack() finds out whether it is so.
struct m2b::paho::LargeMessages::Publish {
  unsigned char header;  // RETAIN, QoS, DUP, as in the packet (MQTT 5, section 3.3.1)
  char* topic;           // Paho's; whoever takes the message frees it and leaves none
  int topic_bytes;
  int packet_id;
  char* payload;  // within the receive buffer
  int payload_bytes;
};

extern "C" {
// The linker's --wrap: Paho calls the first, and the second is Paho's own.
// NOLINTBEGIN(bugprone-reserved-identifier,readability-identifier-naming)
void __wrap_Protocol_processPublication(m2b::paho::LargeMessages::Publish* publish, void* client,
                                        int copy_payload);
void __real_Protocol_processPublication(m2b::paho::LargeMessages::Publish* publish, void* client,
                                        int copy_payload);
// NOLINTEND(bugprone-reserved-identifier,readability-identifier-naming)
}

namespace m2b::paho {
namespace {

/// Paho gives the function that we hook into no context of ours, so this is the process's.
class Takers {
 public:
  void add(const void* connection, LargeMessages& taker) {
    const std::lock_guard lock(mutex_);
    takers_.emplace_back(connection, &taker);
  }
  void remove(const LargeMessages& taker) noexcept {
    const std::lock_guard lock(mutex_);
    std::erase_if(takers_, [&](const auto& known) { return known.second == &taker; });
  }
  /// It stays as long as Paho's lock is held.
  [[nodiscard]] LargeMessages* find(const void* connection) const noexcept {
    const std::lock_guard lock(mutex_);
    const auto found = std::ranges::find(takers_, connection, &Taker::first);
    return found != takers_.end() ? found->second : nullptr;
  }

 private:
  using Taker = std::pair<const void*, LargeMessages*>;
  mutable std::mutex mutex_;  // guards takers_
  std::vector<Taker> takers_;
};

Takers& takers() {
  static Takers instance;
  return instance;
}

/// Paho's buffer never shrinks, and of a payload that was taken nobody reads a byte any more.
void give_pages_back(char* payload, std::size_t bytes) noexcept {
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto begin = (reinterpret_cast<std::uintptr_t>(payload) + page - 1) / page * page;
  const auto end = (reinterpret_cast<std::uintptr_t>(payload) + bytes) / page * page;
  if (begin < end) {
    ::madvise(payload + (begin - reinterpret_cast<std::uintptr_t>(payload)), end - begin,
              MADV_DONTNEED);
  }
}

}  // namespace

LargeMessages::LargeMessages(std::size_t least_bytes, KeepAlive& keep_alive, Take take)
    : least_bytes_(least_bytes), keep_alive_(keep_alive), take_(std::move(take)) {}

LargeMessages::~LargeMessages() { takers().remove(*this); }

void LargeMessages::begin() noexcept {
  if (connection_ == nullptr && Arrival::current().connection != nullptr) {
    connection_ = Arrival::current().connection;
    takers().add(connection_, *this);
  }
}

bool LargeMessages::take(Publish& publish) noexcept {
  constexpr unsigned kRetain = 1;
  constexpr unsigned kDuplicate = 8;
  const LargeMessages* const taker = takers().find(Arrival::current().connection);
  const auto payload_bytes = static_cast<std::size_t>(std::max(publish.payload_bytes, 0));
  if (taker == nullptr || payload_bytes < taker->least_bytes_) {
    return false;
  }
  const auto qos = static_cast<std::uint8_t>(publish.header >> 1U & 3U);
  const MessageView view{
      .topic = {publish.topic, static_cast<std::size_t>(publish.topic_bytes)},
      .payload = {publish.payload, payload_bytes},
      .received_at = wall_now(),
      .qos = qos,
      .retained = (publish.header & kRetain) != 0,
      // As Paho has it: at QoS 2 the flag tells nothing.
      .duplicate = qos != 2 && (publish.header & kDuplicate) != 0,
  };
  taker->take_(LargeMessage(view, {publish.packet_id, qos}, taker->keep_alive_));
  give_pages_back(publish.payload, payload_bytes);
  MQTTAsync_free(std::exchange(publish.topic, nullptr));
  return true;
}

}  // namespace m2b::paho

// NOLINTBEGIN(bugprone-reserved-identifier,readability-identifier-naming)

void __wrap_Protocol_processPublication(m2b::paho::LargeMessages::Publish* publish, void* client,
                                        int copy_payload) {
  // Where Paho would not copy, it has done so before, and the payload is not ours to borrow.
  if (copy_payload == 0 || !m2b::paho::LargeMessages::take(*publish)) {
    __real_Protocol_processPublication(publish, client, copy_payload);
  }
}

// NOLINTEND(bugprone-reserved-identifier,readability-identifier-naming)

#else  // without Paho's static library

namespace m2b::paho {

LargeMessages::LargeMessages(std::size_t least_bytes, KeepAlive& keep_alive, Take take)
    : least_bytes_(least_bytes), keep_alive_(keep_alive), take_(std::move(take)) {}
LargeMessages::~LargeMessages() = default;
void LargeMessages::begin() noexcept {}

}  // namespace m2b::paho

#endif
