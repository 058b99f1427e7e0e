#include "m2b/status/status_server.hpp"

#include <fmt/format.h>
#include <httplib.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstddef>
#include <ctime>
#include <exception>
#include <future>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include "control/documents.hpp"
#include "http/http_server.hpp"
#include "m2b/util/host.hpp"
#include "m2b/util/log.hpp"
#include "m2b/util/repetition.hpp"
#include "m2b/util/secret_source.hpp"
#include "m2b/util/thread.hpp"
#include "status/access.hpp"
#include "status/diagnosis.hpp"
#include "status/history.hpp"
#include "status/metrics.hpp"
#include "status/page.hpp"
#include "status/page_assets.hpp"
#include "status/snapshot.hpp"
#include "status/status_json.hpp"

namespace m2b {
namespace {

using documents::Json;
using httplib::Request;
using httplib::Response;
using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds kBindRetry{5};
constexpr time_t kHealthPatienceSeconds = 4;
constexpr std::chrono::seconds kRatesOver{10};
constexpr std::chrono::minutes kUnsteadyWithin{10};
/// A disk that is slower gets its answer as "under way".
constexpr std::chrono::seconds kMovePatience{2};
constexpr std::size_t kMaxPayloadBytes = std::size_t{16} << 10;  // that are shown of one
constexpr std::size_t kMaxIds = 100;
constexpr const char* kPlainText = "text/plain; charset=utf-8";
constexpr const char* kHtml = "text/html; charset=utf-8";
constexpr const char* kJson = "application/json";

/// Everything is ours, nothing is inline, and no page may frame this one.
constexpr const char* kContentPolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

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

void answer(Response& response, const Json& json) {
  response.set_content(documents::line_of(json), kJson);
}

void refuse(Response& response, int status, std::string_view reason) {
  response.status = status;
  answer(response, Json{{"error", reason}});
}

std::optional<std::uint64_t> number_of(const std::string& text) {
  std::uint64_t value = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, value);
  return error == std::errc() && rest == end ? std::optional(value) : std::nullopt;
}

/// Nothing where it is not {"ids":[…]} with some numbers.
std::optional<std::vector<SpoolId>> ids_of(const std::string& body) {
  try {
    std::vector<SpoolId> ids;
    const Json document = Json::parse(body);
    const Json& list = document.at("ids");
    // The library takes a number for a list of itself, and -1 for a large one.
    if (!list.is_array() || !std::ranges::all_of(list, &Json::is_number_unsigned)) {
      return std::nullopt;
    }
    for (const Json& id : list) {
      ids.push_back(SpoolId{id.get<std::uint64_t>()});
    }
    return !ids.empty() && ids.size() <= kMaxIds ? std::optional(std::move(ids)) : std::nullopt;
  } catch (const Json::exception&) {
    return std::nullopt;
  }
}

}  // namespace

class StatusServer::Impl {
 public:
  Impl(const StatusOptions& options, const StatusSources& sources)
      : options_(options),
        sources_(sources),
        token_("STATUS_TOKEN", options.token, options.token_file, &is_status_token) {}

  void start() {
    if (options_.enabled) {
      started_at_ = Clock::now();
      history_.add(take_sample(sources_));
      sampler_ = start_thread("status-sampler", [this](const std::stop_token& stop) {
        while (sleep_for(History::kStep, stop)) {
          history_.add(take_sample(sources_));
        }
      });
      thread_ = start_thread("status", [this](const std::stop_token& stop) { run(stop); });
    }
  }

  void stop() {
    for (std::jthread* const thread : {&sampler_, &thread_}) {
      thread->request_stop();
      if (thread->joinable()) {
        thread->join();
      }
    }
  }

 private:
  /// What of a request is served, and how.
  using Handler = void (Impl::*)(const Request&, Response&);
  /// Who may have it.
  using Gate = std::optional<Denial> (Access::*)(const Caller&) const;

  void run(const std::stop_token& stop) {
    step_back();  // it accepts connections, as many as somebody likes to make
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

  void set_routes(HttpServer& server) {
    server.set_default_headers({{"Cache-Control", "no-store"},
                                {"X-Content-Type-Options", "nosniff"},
                                {"Content-Security-Policy", kContentPolicy},
                                {"X-Frame-Options", "DENY"},
                                {"Referrer-Policy", "no-referrer"},
                                {"Cross-Origin-Opener-Policy", "same-origin"},
                                {"Cross-Origin-Resource-Policy", "same-origin"}});
    // httplib's own puts the exception's text into a header.
    server.set_exception_handler(
        [](const Request&, Response& response, const std::exception_ptr& /*error*/) {
          refuse(response, 500, "this could not be answered");
        });
    set_probes(server);
    set_files(server);
    get(server, "/", &Access::denial_of_page, &Impl::serve_page);
    get(server, "/status", &Access::denial_of_page, &Impl::serve_status);
    get(server, R"(/dead-letters/(\d+))", &Access::denial_of_content, &Impl::serve_letter);
    get(server, R"(/pictures/(\d+))", &Access::denial_of_content, &Impl::serve_picture);
    server.Post("/dead-letters/replay", guarded(&Access::denial_of_action, &Impl::replay));
    server.Post("/dead-letters/drop", guarded(&Access::denial_of_action, &Impl::drop));
  }

  /// For machines; open to whoever reaches the listener.
  void set_probes(HttpServer& server) const {
    server.Get("/livez", [](const Request&, Response& response) {
      response.set_content("ok\n", kPlainText);
    });
    server.Get("/readyz", [this](const Request&, Response& response) {
      const std::string reasons = why_not_ready(sources_);
      response.status = reasons.empty() ? 200 : 503;
      response.set_content(reasons.empty() ? "ok\n" : reasons, kPlainText);
    });
    server.Get("/metrics", [this](const Request&, Response& response) {
      response.set_content(metrics_text(sources_), "text/plain; version=0.0.4; charset=utf-8");
    });
  }

  static void set_files(HttpServer& server) {
    const auto file = [&server](const char* path, std::string_view bytes, const char* type) {
      server.Get(path, [bytes, type](const Request&, Response& response) {
        response.set_content(bytes.data(), bytes.size(), type);
      });
    };
    file(R"(/page\.css)", page_assets::page_css(), "text/css; charset=utf-8");
    file(R"(/page\.js)", page_assets::page_js(), "text/javascript; charset=utf-8");
    file(R"(/icon\.svg)", page_assets::icon_svg(), "image/svg+xml");
  }

  void get(HttpServer& server, const char* path, Gate gate, Handler handler) {
    server.Get(path, guarded(gate, handler));
  }

  [[nodiscard]] httplib::Server::Handler guarded(Gate gate, Handler handler) {
    return [this, gate, handler](const Request& request, Response& response) {
      const std::string host = request.get_header_value("Host");
      const std::string authorization = request.get_header_value("Authorization");
      const std::string origin = request.get_header_value("Origin");
      const std::string site = request.get_header_value("Sec-Fetch-Site");
      const std::string type = request.get_header_value("Content-Type");
      const auto denial = (access().*gate)({.host = host,
                                            .authorization = authorization,
                                            .origin = origin,
                                            .fetch_site = site,
                                            .content_type = type});
      if (!denial) {
        (this->*handler)(request, response);
        return;
      }
      if (denial->status == 401) {
        response.set_header("WWW-Authenticate", "Bearer");
        tell_of_wrong_token(!authorization.empty());
      }
      refuse(response, denial->status, denial->reason);
    };
  }

  void tell_of_wrong_token(bool has_one) {
    if (const auto held_back = has_one ? wrong_tokens_.admit("token") : std::nullopt) {
      log::warn("status", "a request had a wrong token", {{"repeated", *held_back}});
    }
  }

  [[nodiscard]] Access access() { return {options_, token_.current()}; }

  [[nodiscard]] StatusView view() const {
    StatusView view;
    view.snapshot = take_snapshot(sources_, started_at_);
    const Sample now = view.snapshot.sample();
    view.trends = {.now = history_.rates(now, kRatesOver),
                   .longer = history_.rates(now, span_of_trend(view.snapshot)),
                   .connections_lost = history_.connections_lost(now, kUnsteadyWithin)};
    view.curves = history_.curves();
    view.diagnosis = diagnose(view.snapshot, view.trends);
    return view;
  }

  void serve_page(const Request& /*request*/, Response& response) {
    response.set_content(render_page(view()), kHtml);
  }

  void serve_status(const Request& /*request*/, Response& response) {
    answer(response, status_json(view(), Access(options_)));  // whether there is a token, not which
  }

  void serve_letter(const Request& request, Response& response) {
    const auto number = number_of(request.matches[1].str());
    const SpoolId after{number && *number > 0 ? *number - 1 : 0};
    const auto found = sources_.spool.describe_letters(after, 1);
    if (!found) {
      return refuse(response, 503, "the spool cannot be read at the moment");
    }
    if (!number || found->empty() || to_number(found->front().record.id) != *number) {
      return refuse(response, 404, "no such dead letter");
    }
    const PayloadRead read =
        sources_.spool.read_letter_payload(found->front().record.id, kMaxPayloadBytes);
    if (const auto* const missing = std::get_if<KeyMissing>(&read)) {
      return refuse(response, 409, "it is " + missing_key_text(missing->key));
    }
    const auto* const payload = std::get_if<std::string>(&read);
    if (payload == nullptr) {
      return refuse(response, 503, "this dead letter cannot be read at the moment");
    }
    answer(response, letter_json(found->front(), *payload));
  }

  void serve_picture(const Request& request, Response& response) {
    const auto number = number_of(request.matches[1].str());
    const auto picture =
        number && sources_.pictures != nullptr ? sources_.pictures->read(*number) : std::nullopt;
    if (!picture) {
      return refuse(response, 404, "no such picture is kept");
    }
    response.set_content(*picture->bytes, std::string(picture->content_type));
  }

  void replay(const Request& request, Response& response) {
    move_letters(LetterMove::replay, request, response);
  }
  void drop(const Request& request, Response& response) {
    move_letters(LetterMove::drop, request, response);
  }

  void move_letters(LetterMove move, const Request& request, Response& response) {
    auto ids = ids_of(request.body);
    if (!ids) {
      return refuse(response, 400,
                    fmt::format("must be {{\"ids\":[…]}} with 1 to {} numbers", kMaxIds));
    }
    const std::size_t count = ids->size();
    std::future<LettersMoved> moved = sources_.spool.move_letters(move, *std::move(ids));
    const char* const deed = move == LetterMove::replay ? "replay" : "drop";
    if (moved.wait_for(kMovePatience) != std::future_status::ready) {
      log::info("status", "dead letters are being moved from the status page",
                {{"deed", deed}, {"letters", count}});
      response.status = 202;
      return answer(response, Json{{"under_way", true}});
    }
    const LettersMoved outcome = moved.get();
    log::info("status", "dead letters were moved from the status page",
              {{"deed", deed}, {"letters", count}, {"moved", outcome.moved}});
    if (!outcome.failure.empty()) {
      return refuse(response, 503, outcome.failure);
    }
    answer(response, documents::of(outcome));
  }

  [[nodiscard]] std::string address() const {
    return fmt::format("{}:{}", options_.host, options_.port);
  }

  const StatusOptions options_;
  const StatusSources sources_;
  SecretSource token_;
  Clock::time_point started_at_;
  History history_;
  Repetition wrong_tokens_;
  std::jthread sampler_;
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
