#include "m2b/status/status_server.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
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
#include "http/http_client.hpp"
#include "http/http_listener.hpp"
#include "http/http_routes.hpp"
#include "http/http_server.hpp"
#include "m2b/status/status_monitor.hpp"
#include "m2b/util/host.hpp"
#include "m2b/util/log.hpp"
#include "m2b/util/repetition.hpp"
#include "m2b/util/secret_source.hpp"
#include "m2b/util/thread.hpp"
#include "status/access.hpp"
#include "status/diagnosis.hpp"
#include "status/metrics.hpp"
#include "status/page.hpp"
#include "status/page_assets.hpp"
#include "status/status_json.hpp"

namespace m2b {
namespace {

using documents::Json;

constexpr std::chrono::seconds kBindRetry{5};
constexpr HttpClientLimits kHealthLimits{.time = std::chrono::seconds(4),
                                         .max_body_bytes = std::size_t{64} << 10};
/// For the answer to a wrong token. Whoever knows the right one never waits.
constexpr std::chrono::seconds kWrongTokenDelay{1};
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

HttpResponse json_response(const Json& json, int status = 200) {
  return http_response(status, kJson, documents::line_of(json));
}

HttpResponse refusal(int status, std::string_view reason) {
  return json_response(Json{{"error", reason}}, status);
}

Caller caller_of(const HttpRequest& request) {
  return {.host = request.field("host"),
          .authorization = request.field("authorization"),
          .origin = request.field("origin"),
          .fetch_site = request.field("sec-fetch-site"),
          .content_type = request.field("content-type")};
}

HttpFields safety_fields() {
  return {{"Cache-Control", "no-store"},
          {"X-Content-Type-Options", "nosniff"},
          {"Content-Security-Policy", kContentPolicy},
          {"X-Frame-Options", "DENY"},
          {"Referrer-Policy", "no-referrer"},
          {"Cross-Origin-Opener-Policy", "same-origin"},
          {"Cross-Origin-Resource-Policy", "same-origin"}};
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
  Impl(const StatusOptions& options, const StatusMonitor& monitor)
      : options_(options),
        monitor_(monitor),
        sources_(monitor.sources()),
        token_("STATUS_TOKEN", options.token, options.token_file, &is_status_token) {
    set_routes();
  }

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
  /// What of a request is served, and how. Some paths end in a number.
  using Handler = HttpResponse (Impl::*)(const HttpRequest&, std::uint64_t number);
  /// Who may have it.
  using Gate = std::optional<Denial> (Access::*)(const Caller&) const;

  void run(const std::stop_token& stop) {
    step_back();  // it serves connections, as many as somebody likes to make
    Repetition failures;
    do {
      try {
        if (Fd socket = listen_on_tcp(bare_host(options_.host), options_.port)) {
          HttpServer server({}, safety_fields(),
                            [this](const HttpRequest& request) { return routes_.answer(request); });
          log::info("status", "listening", {{"address", address()}});
          server.serve(std::move(socket), stop);
          return;
        }
        tell_of_failure(failures, std::generic_category().message(errno));
      } catch (const std::system_error& error) {
        tell_of_failure(failures, error.what());
      }
    } while (sleep_for(kBindRetry, stop));
  }

  void tell_of_failure(Repetition& failures, const std::string& cause) const {
    if (const auto held_back = failures.admit("bind")) {
      log::error("status",
                 "cannot listen, trying again; another STATUS_ADDRESS, or `off`, mends it",
                 {{"address", address()}, {"cause", cause}, {"repeated", *held_back}});
    }
  }

  void set_routes() {
    set_probes();
    set_files();
    routes_.get("/", guarded(&Access::denial_of_page, &Impl::page));
    routes_.get("/status", guarded(&Access::denial_of_page, &Impl::status));
    routes_.get("/dead-letters/*", guarded(&Access::denial_of_content, &Impl::letter));
    routes_.get("/pictures/*", guarded(&Access::denial_of_content, &Impl::picture));
    routes_.post("/dead-letters/replay", guarded(&Access::denial_of_action, &Impl::replay));
    routes_.post("/dead-letters/drop", guarded(&Access::denial_of_action, &Impl::drop));
  }

  /// For machines; open to whoever reaches the listener.
  void set_probes() {
    routes_.get("/livez", [](const HttpRequest&, std::uint64_t) {
      return http_response(200, kPlainText, "ok\n");
    });
    routes_.get("/readyz",
                [this](const HttpRequest& request, std::uint64_t) { return readiness(request); });
    routes_.get("/metrics", [this](const HttpRequest&, std::uint64_t) {
      return http_response(200, "text/plain; version=0.0.4; charset=utf-8",
                           metrics_text(sources_, monitor_.view().diagnosis));
    });
  }

  void set_files() {
    const auto file = [this](const char* path, std::string_view bytes, const char* type) {
      routes_.get(path, [bytes, type](const HttpRequest&, std::uint64_t) {
        return http_response(200, type, std::string(bytes));
      });
    };
    file("/page.css", page_assets::page_css(), "text/css; charset=utf-8");
    file("/page.js", page_assets::page_js(), "text/javascript; charset=utf-8");
    file("/icon.svg", page_assets::icon_svg(), "image/svg+xml");
  }

  [[nodiscard]] HttpRoutes::Handler guarded(Gate gate, Handler handler) {
    return [this, gate, handler](const HttpRequest& request, std::uint64_t number) {
      const Caller caller = caller_of(request);
      const auto denial = (access().*gate)(caller);
      if (!denial) {
        return (this->*handler)(request, number);
      }
      HttpResponse response = refusal(denial->status, denial->reason);
      if (denial->status == 401) {
        response.fields.push_back({"WWW-Authenticate", "Bearer"});
        if (!caller.authorization.empty()) {
          response.delay = kWrongTokenDelay;
          tell_of_wrong_token();
        }
      }
      return response;
    };
  }

  /// The status is for everybody, its reasons for those who may see the page.
  HttpResponse readiness(const HttpRequest& request) {
    const Diagnosis diagnosis = monitor_.view().diagnosis;
    const bool may_read = !access().denial_of_page(caller_of(request));
    return http_response(
        diagnosis.is_ready() ? 200 : 503, kPlainText,
        may_read ? plain_text(diagnosis) : fmt::format("{}\n", to_string(diagnosis.state)));
  }

  void tell_of_wrong_token() {
    if (const auto held_back = wrong_tokens_.admit("token")) {
      log::warn("status", "a request had a wrong token", {{"repeated", *held_back}});
    }
  }

  [[nodiscard]] Access access() { return {options_, token_.current()}; }

  HttpResponse page(const HttpRequest& /*request*/, std::uint64_t /*number*/) {
    return http_response(200, kHtml, render_page(monitor_.view()));
  }

  HttpResponse status(const HttpRequest& /*request*/, std::uint64_t /*number*/) {
    return json_response(
        status_json(monitor_.view(), Access(options_)));  // whether there is a token alone
  }

  HttpResponse letter(const HttpRequest& /*request*/, std::uint64_t number) {
    const SpoolId after{number > 0 ? number - 1 : 0};
    const auto found = sources_.spool.describe_letters(after, 1);
    if (!found) {
      return refusal(503, "the spool cannot be read at the moment");
    }
    if (found->empty() || to_number(found->front().record.id) != number) {
      return refusal(404, "no such dead letter");
    }
    const PayloadRead read =
        sources_.spool.read_letter_payload(found->front().record.id, kMaxPayloadBytes);
    if (const auto* const missing = std::get_if<KeyMissing>(&read)) {
      return refusal(409, "it is " + missing_key_text(missing->key));
    }
    const auto* const payload = std::get_if<std::string>(&read);
    if (payload == nullptr) {
      return refusal(503, "this dead letter cannot be read at the moment");
    }
    return json_response(letter_json(found->front(), *payload));
  }

  HttpResponse picture(const HttpRequest& /*request*/, std::uint64_t number) {
    const auto picture =
        sources_.pictures != nullptr ? sources_.pictures->read(number) : std::nullopt;
    if (!picture) {
      return refusal(404, "no such picture is kept");
    }
    return http_response(200, picture->content_type, *picture->bytes);
  }

  HttpResponse replay(const HttpRequest& request, std::uint64_t /*number*/) {
    return move_letters(LetterMove::replay, request);
  }
  HttpResponse drop(const HttpRequest& request, std::uint64_t /*number*/) {
    return move_letters(LetterMove::drop, request);
  }

  HttpResponse move_letters(LetterMove move, const HttpRequest& request) {
    auto ids = ids_of(request.body);
    if (!ids) {
      return refusal(400, fmt::format("must be {{\"ids\":[…]}} with 1 to {} numbers", kMaxIds));
    }
    const std::size_t count = ids->size();
    std::future<LettersMoved> moved = sources_.spool.move_letters(move, *std::move(ids));
    const char* const deed = move == LetterMove::replay ? "replay" : "drop";
    if (moved.wait_for(kMovePatience) != std::future_status::ready) {
      log::info("status", "dead letters are being moved from the status page",
                {{"deed", deed}, {"letters", count}});
      return json_response(Json{{"under_way", true}}, 202);
    }
    const LettersMoved outcome = moved.get();
    log::info("status", "dead letters were moved from the status page",
              {{"deed", deed}, {"letters", count}, {"moved", outcome.moved}});
    if (!outcome.failure.empty()) {
      return refusal(503, outcome.failure);
    }
    return json_response(documents::of(outcome));
  }

  [[nodiscard]] std::string address() const {
    return fmt::format("{}:{}", options_.host, options_.port);
  }

  const StatusOptions options_;
  const StatusMonitor& monitor_;
  const StatusSources& sources_;  // of the monitor
  SecretSource token_;
  Repetition wrong_tokens_;
  HttpRoutes routes_;
  std::jthread thread_;
};

StatusServer::StatusServer(const StatusOptions& options, const StatusMonitor& monitor)
    : impl_(std::make_unique<Impl>(options, monitor)) {}

StatusServer::~StatusServer() = default;

void StatusServer::start() { impl_->start(); }

void StatusServer::stop() { impl_->stop(); }

std::string check_health(const StatusOptions& options) {
  if (!options.enabled) {
    return "STATUS_ADDRESS=off: there is no listener to ask";
  }
  // A listener on all addresses is asked on the loopback.
  const std::string host = bare_host(options.host);
  const TcpAddress address{host == "0.0.0.0" ? "127.0.0.1"
                           : host == "::"    ? "::1"
                                             : host,
                           options.port};
  const auto answer =
      ask_http(address, {.method = "GET", .path = "/livez", .query = {}}, kHealthLimits);
  if (const auto* const failure = std::get_if<HttpFailure>(&answer)) {
    return fmt::format("no answer from {}:{}: {}", options.host, options.port, failure->cause);
  }
  const int status = std::get<HttpResponse>(answer).status;
  return status == 200 ? std::string()
                       : fmt::format("{}:{} answered {}", options.host, options.port, status);
}

}  // namespace m2b
