#include "mqtt/hearing.hpp"

#include <algorithm>
#include <mutex>
#include <utility>
#include <vector>

#include "mqtt/late_ack.hpp"
#include "mqtt/paho_client.hpp"

namespace m2b::paho {
namespace {

/// Paho gives the function that we hook into no context of ours, so this is the process's.
class Listeners {
 public:
  void add(const void* connection, Events& events) {
    const std::lock_guard lock(mutex_);
    listeners_.emplace_back(connection, &events);
  }
  void remove(const void* connection, const Events& events) noexcept {
    const std::lock_guard lock(mutex_);
    const auto found = std::ranges::find_if(listeners_, [&](const auto& listener) {
      return listener.first == connection && listener.second == &events;
    });
    if (found != listeners_.end()) {
      listeners_.erase(found);
    }
  }
  void tell(const void* connection) noexcept {
    const std::lock_guard lock(mutex_);
    for (const auto& [known, events] : listeners_) {
      if (known == connection) {
        events->on_heard();
      }
    }
  }

 private:
  std::mutex mutex_;  // guards listeners_
  std::vector<std::pair<const void*, Events*>> listeners_;
};

Listeners& listeners() {
  static Listeners instance;
  return instance;
}

}  // namespace

bool Hearing::is_linked() noexcept { return LateAck::is_linked(); }

Hearing::~Hearing() {
  if (connection_ != nullptr) {
    listeners().remove(connection_, events_);
  }
}

void Hearing::begin() noexcept {
  if (connection_ == nullptr && LateAck::arriving_on() != nullptr) {
    connection_ = LateAck::arriving_on();
    listeners().add(connection_, events_);
  }
}

void Hearing::on_arrival(const void* connection) noexcept { listeners().tell(connection); }

}  // namespace m2b::paho
