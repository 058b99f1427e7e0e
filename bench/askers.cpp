#include "bench/askers.hpp"

#include <stdexcept>

#include <fmt/format.h>

#include "bench/http_client.hpp"
#include "m2b/util/thread.hpp"

namespace m2b::bench {
namespace {

constexpr long kOk = 200;

}  // namespace

Askers::Askers(const AskOptions& options, const Address& server) {
  if (options.connections == 0) return;
  const auto first = HttpClient(server).get(options.path);
  if (!first || first->status != kOk) {
    throw std::runtime_error(
        fmt::format("the bridge answers {} when it is asked for '{}'; give --asked another path",
                    first ? fmt::format("{}", first->status) : "nothing", options.path));
  }
  for (unsigned i = 0; i < options.connections; ++i) {
    threads_.push_back(start_thread(fmt::format("asker-{}", i),
                                    [this, server, path = options.path](
                                        const std::stop_token& stop) { ask(server, path, stop); }));
  }
}

void Askers::ask(const Address& server, const std::string& path, const std::stop_token& stop) {
  step_back();
  HttpClient client(server);
  while (!stop.stop_requested()) {
    const auto answer = client.get(path);
    if (answer && answer->status == kOk) ++answers_;
  }
}

}  // namespace m2b::bench
