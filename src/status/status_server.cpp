#include "m2b/status/status_server.hpp"

#include <fmt/format.h>
#include <httplib.h>

#include <chrono>
#include <ctime>
#include <memory>
#include <stop_token>
#include <string>
#include <thread>

#include "http/http_server.hpp"
#include "m2b/util/log.hpp"
#include "m2b/util/repetition.hpp"
#include "m2b/util/thread.hpp"
#include "status/metrics.hpp"

namespace m2b {
namespace {

constexpr std::chrono::seconds kBindRetry{5};
/// Longer than slow clients can keep all workers of the listener.
constexpr time_t kHealthPatienceSeconds = 4;
constexpr const char* kPlainText = "text/plain; charset=utf-8";

/// httplib wants IPv6 addresses without brackets.
std::string bare_host(const std::string& host) {
  return host.starts_with('[') ? host.substr(1, host.size() - 2) : host;
}

/// Why no message can be taken at the moment; empty when one can.
std::string why_not_ready(const StatusSources& sources) {
  const ReceiverStats& receiver = sources.receiver.stats();
  std::string reasons;
  if (!receiver.connected) {
    reasons += "not connected to the broker\n";
  } else if (!receiver.subscribed) {
    reasons += "not subscribed\n";
  } else if (!sources.receiver.hears_broker()) {
    reasons += "nothing heard from the broker for one and a half intervals of MQTT_KEEPALIVE\n";
  }
  if (const Intake intake = sources.spool.intake(); intake != Intake::open) {
    reasons += fmt::format("spool takes no messages: {}\n", to_string(intake));
  }
  return reasons;
}

}  // namespace

class StatusServer::Impl {
 public:
  Impl(const StatusOptions& options, const StatusSources& sources)
      : options_(options), sources_(sources) {}

  void start() {
    if (options_.enabled) {
      thread_ = start_thread("status", [this](const std::stop_token& stop) { run(stop); });
    }
  }

  void stop() {
    thread_.request_stop();
    if (thread_.joinable()) {
      thread_.join();
    }
  }

 private:
  void run(const std::stop_token& stop) {
    Repetition failures;
    while (!stop.stop_requested()) {
      HttpServer server(stop, {});  // one that has served cannot serve again
      set_routes(server);
      if (server.bind_to_port(bare_host(options_.host), options_.port)) {
        log::info("status", "listening", {{"address", address()}});
        server.serve();
      } else if (const auto held_back = failures.admit("bind")) {
        log::error("status",
                   "cannot listen, trying again; another STATUS_ADDRESS, or `off`, mends it",
                   {{"address", address()}, {"repeated", *held_back}});
      }
      static_cast<void>(sleep_for(kBindRetry, stop));
    }
  }

  void set_routes(HttpServer& server) const {
    server.set_default_headers(
        {{"Cache-Control", "no-store"}, {"X-Content-Type-Options", "nosniff"}});
    server.Get("/livez", [](const httplib::Request&, httplib::Response& response) {
      response.set_content("ok\n", kPlainText);
    });
    server.Get("/readyz", [this](const httplib::Request&, httplib::Response& response) {
      const std::string reasons = why_not_ready(sources_);
      response.status = reasons.empty() ? 200 : 503;
      response.set_content(reasons.empty() ? "ok\n" : reasons, kPlainText);
    });
    server.Get("/metrics", [this](const httplib::Request&, httplib::Response& response) {
      response.set_content(metrics_text(sources_), "text/plain; version=0.0.4; charset=utf-8");
    });
  }

  [[nodiscard]] std::string address() const {
    return fmt::format("{}:{}", options_.host, options_.port);
  }

  const StatusOptions options_;
  const StatusSources sources_;
  std::jthread thread_;
};

StatusServer::StatusServer(const StatusOptions& options, const StatusSources& sources)
    : impl_(std::make_unique<Impl>(options, sources)) {}

StatusServer::~StatusServer() = default;

void StatusServer::start() { impl_->start(); }

void StatusServer::stop() { impl_->stop(); }

std::string check_health(const StatusOptions& options) {
  if (!options.enabled) {
    return "STATUS_ADDRESS=off: there is no listener to ask";
  }
  // A listener on all addresses is asked on the loopback.
  const std::string host = bare_host(options.host);
  httplib::Client client(host == "0.0.0.0" ? "127.0.0.1"
                         : host == "::"    ? "::1"
                                           : host,
                         options.port);
  client.set_connection_timeout(kHealthPatienceSeconds);
  client.set_read_timeout(kHealthPatienceSeconds);
  const httplib::Result answer = client.Get("/livez");
  if (!answer) {
    return fmt::format("no answer from {}:{}: {}", options.host, options.port,
                       httplib::to_string(answer.error()));
  }
  return answer->status == 200
             ? std::string()
             : fmt::format("{}:{} answered {}", options.host, options.port, answer->status);
}

}  // namespace m2b
