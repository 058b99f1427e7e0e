#include "mqtt/ack_after_commit.hpp"

#include <unistd.h>

#include <chrono>
#include <future>
#include <memory>
#include <utility>

#include "m2b/util/fail_point.hpp"
#include "m2b/util/log.hpp"

namespace m2b {
namespace {

/// How often a callback that waits sees to the connection.
constexpr std::chrono::milliseconds kTick{500};

[[noreturn]] void never_return() noexcept {
  while (true) {
    ::pause();
  }
}

}  // namespace

void AckAfterCommit::hand_over(paho::Message message) noexcept {
  store(message.view(), message.ack(), [&] { message.keep_alive(); });
}

void AckAfterCommit::hand_over_large(const paho::LargeMessage& message) noexcept {
  store(message.view(), message.ack(), [&] { message.keep_alive(); });
}

void AckAfterCommit::store(const MessageView& view, paho::Ack ack,
                           const std::function<void()>& while_waiting) noexcept {
  fail_point("mqtt.arrived");
  stats_.count_received(view);
  if (view.payload.empty()) {
    stats_.acknowledged.fetch_add(view.qos > 0 ? 1 : 0, std::memory_order_relaxed);
    return;
  }
  const auto promise = std::make_shared<std::promise<std::pair<Durability, SpoolId>>>();
  spool_.append(view, [promise](Durability durability, SpoolId id) {
    promise->set_value({durability, id});
  });
  auto ticket = promise->get_future();
  while (ticket.wait_for(kTick) != std::future_status::ready) {
    while_waiting();
  }
  const auto [durability, id] = ticket.get();
  if (durability == Durability::closed && view.qos > 0) {
    log::info("mqtt", "a message stays unacknowledged: the spool closed before it was on disk");
    never_return();
  }
  fail_point("mqtt.before_ack");
  if (view.qos > 0) {
    stats_.acknowledged.fetch_add(1, std::memory_order_relaxed);
    log::debug("mqtt", "acknowledged",
               {{"id", to_number(id)}, {"qos", view.qos}, {"packet_id", ack.packet_id}});
  }
}

}  // namespace m2b
