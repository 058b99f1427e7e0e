#include "mqtt/ack_after_commit.hpp"

#include <unistd.h>

#include <algorithm>
#include <future>
#include <memory>
#include <utility>

#include "m2b/util/fail_point.hpp"
#include "m2b/util/log.hpp"

namespace m2b {
namespace {

[[noreturn]] void never_return() noexcept {
  while (true) {
    ::pause();
  }
}

}  // namespace

void AckAfterCommit::hand_over(paho::Message message) noexcept {
  fail_point("mqtt.arrived");
  const MessageView view = message.view();
  stats_.received[std::min<std::size_t>(view.qos, 2)].fetch_add(1, std::memory_order_relaxed);
  const auto promise = std::make_shared<std::promise<std::pair<Durability, SpoolId>>>();
  spool_.append(view, [promise](Durability durability, SpoolId id) {
    promise->set_value({durability, id});
  });
  const auto [durability, id] = promise->get_future().get();
  if (durability == Durability::closed && view.qos > 0) {
    log::info("mqtt", "a message stays unacknowledged: the spool closed before it was on disk");
    never_return();
  }
  fail_point("mqtt.before_ack");
  if (view.qos > 0) {
    stats_.acknowledged.fetch_add(1, std::memory_order_relaxed);
    log::debug("mqtt", "acknowledged",
               {{"id", to_number(id)}, {"qos", view.qos}, {"packet_id", message.ack().packet_id}});
  }
}

}  // namespace m2b
