#include "bench/timed_store.hpp"

#include <string_view>

namespace m2b::bench {

TimedStore::TimedStore(const StoreChoice& choice, const std::filesystem::path& folder,
                       Latencies& latencies, bool is_timed, const std::stop_token& stop) {
  const AnswerListener on_answer = [&latencies](std::string_view request) {
    latencies.answered(request);
  };
  store_ = make_store(choice, folder, on_answer, stop);
  if (is_timed && !store_->tells_answers()) relay_.emplace(store_->access().address, on_answer);
}

StoreAccess TimedStore::access() const {
  StoreAccess access = store_->access();
  if (relay_) access.address = {kLoopback, relay_->port()};
  return access;
}

}  // namespace m2b::bench
