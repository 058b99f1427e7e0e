#include "bench/publisher.hpp"

#include <MQTTAsync.h>

#include <stdexcept>
#include <utility>

#include <fmt/format.h>

#include "bench/stop.hpp"

namespace m2b::bench {

/// Paho calls these on its own threads and under its lock: short, and without calls into Paho.
struct Publisher::Callbacks {
  static void connected(void* context, MQTTAsync_successData*) noexcept {
    change(context, [](Publisher& self) { self.connected_ = true; });
  }
  static void failed(void* context, MQTTAsync_failureData* data) noexcept {
    const char* const message = data != nullptr ? data->message : nullptr;
    change(context, [&](Publisher& self) {
      self.failure_ = message != nullptr ? message : "refused or cut";
    });
  }
  static void connection_lost(void* context, char*) noexcept {
    change(context, [](Publisher& self) { self.failure_ = "the connection is lost"; });
  }
  static void published(void* context, MQTTAsync_successData*) noexcept {
    change(context, [](Publisher& self) { --self.in_flight_; });
  }
  /// Paho wants one, though we subscribe to nothing.
  static int arrived(void*, char*, int, MQTTAsync_message*) noexcept { return 1; }

 private:
  template <class Change>
  static void change(void* context, Change change) noexcept {
    auto& self = *static_cast<Publisher*>(context);
    {
      const std::lock_guard lock(self.mutex_);
      change(self);
    }
    self.changed_.notify_one();
  }
};

void Publisher::Deleter::operator()(void* handle) const noexcept { MQTTAsync_destroy(&handle); }

Publisher::Publisher(Options options, std::stop_token stop)
    : options_(std::move(options)), stop_(std::move(stop)) {
  MQTTAsync_createOptions create = MQTTAsync_createOptions_initializer;
  create.MQTTVersion = MQTTVERSION_3_1_1;
  MQTTAsync handle = nullptr;
  check(MQTTAsync_createWithOptions(&handle, ("tcp://" + options_.broker.text()).c_str(),
                                    options_.client_id.c_str(), MQTTCLIENT_PERSISTENCE_NONE,
                                    nullptr, &create),
        "MQTTAsync_createWithOptions");
  handle_.reset(handle);
  check(MQTTAsync_setCallbacks(handle, this, &Callbacks::connection_lost, &Callbacks::arrived,
                               nullptr),
        "MQTTAsync_setCallbacks");
  connect();
}

void Publisher::connect() {
  MQTTAsync_connectOptions connect = MQTTAsync_connectOptions_initializer;
  connect.MQTTVersion = MQTTVERSION_3_1_1;
  connect.cleansession = 1;
  connect.onSuccess = &Callbacks::connected;
  connect.onFailure = &Callbacks::failed;
  connect.context = this;
  check(MQTTAsync_connect(handle_.get(), &connect), "MQTTAsync_connect");
  wait([this] { return connected_; });
}

void Publisher::publish(std::string_view payload) {
  wait([this] { return in_flight_ < options_.in_flight; });
  {
    const std::lock_guard lock(mutex_);
    ++in_flight_;
  }
  MQTTAsync_responseOptions response = MQTTAsync_responseOptions_initializer;
  response.onSuccess = &Callbacks::published;
  response.onFailure = &Callbacks::failed;
  response.context = this;
  check(MQTTAsync_send(handle_.get(), options_.topic.c_str(), static_cast<int>(payload.size()),
                       payload.data(), options_.qos, 0, &response),
        "MQTTAsync_send");
}

void Publisher::wait_until_acknowledged() {
  wait([this] { return in_flight_ == 0; });
}

template <class Condition>
void Publisher::wait(Condition condition) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, stop_, [&] { return condition() || !failure_.empty(); });
  if (!failure_.empty()) {
    throw std::runtime_error(fmt::format("publishing at {}: {}", options_.broker.text(), failure_));
  }
  throw_if_stopped(stop_);
}

void Publisher::check(int code, const char* function) const {
  if (code != MQTTASYNC_SUCCESS) {
    throw std::runtime_error(fmt::format("publishing at {}: {}: {}", options_.broker.text(),
                                         function, MQTTAsync_strerror(code)));
  }
}

}  // namespace m2b::bench
