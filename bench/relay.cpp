#include "bench/relay.hpp"

#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <string>
#include <utility>
#include <vector>

namespace m2b::bench {
namespace {

constexpr std::size_t kChunkBytes = std::size_t{256} << 10;

/// Which request the connection is at.
class Exchange {
 public:
  explicit Exchange(const AnswerListener& on_answer) : on_answer_(on_answer) {}

  void to_store(std::string_view bytes) {
    if (answering_) {
      line_.clear();
      answering_ = false;
    }
    if (line_.find('\n') == std::string::npos) line_.append(bytes.substr(0, bytes.find('\n') + 1));
  }

  void to_bridge() {
    if (!answering_) on_answer_(line_);
    answering_ = true;
  }

 private:
  const AnswerListener& on_answer_;
  std::string line_;
  bool answering_ = false;
};

}  // namespace

Relay::Relay(Address store, AnswerListener on_answer)
    : store_(std::move(store)),
      on_answer_(std::move(on_answer)),
      server_("relay", [this](int bridge) { serve(bridge); }) {}

void Relay::serve(int bridge) const {
  const Fd store = connect_to(store_);
  if (!store) return;
  Exchange exchange(on_answer_);
  std::vector<char> chunk(kChunkBytes);
  std::array<pollfd, 2> ends{{{bridge, POLLIN, 0}, {store.get(), POLLIN, 0}}};
  while (::poll(ends.data(), ends.size(), -1) > 0) {
    for (std::size_t from = 0; from < ends.size(); ++from) {
      if (ends[from].revents == 0) continue;
      const ssize_t got = ::recv(ends[from].fd, chunk.data(), chunk.size(), 0);
      if (got <= 0) return;
      const std::string_view bytes(chunk.data(), static_cast<std::size_t>(got));
      if (from == 0) {
        exchange.to_store(bytes);
      } else {
        exchange.to_bridge();
      }
      if (!send_all(ends[1 - from].fd, bytes)) return;
    }
  }
}

}  // namespace m2b::bench
