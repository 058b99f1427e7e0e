#include "m2b/control/control_server.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include <fmt/format.h>

#include "control/documents.hpp"
#include "control/socket_path.hpp"
#include "http/http_listener.hpp"
#include "http/http_routes.hpp"
#include "http/http_server.hpp"
#include "m2b/util/log.hpp"
#include "m2b/util/repetition.hpp"
#include "m2b/util/thread.hpp"

namespace m2b {
namespace {

using documents::Json;

constexpr std::chrono::seconds kBindRetry{5};
/// A tool may be stopped in the middle of an answer, by Ctrl-Z.
constexpr HttpLimits kLimits{
    .workers = 2, .answer_time = std::chrono::minutes(10), .max_body_bytes = std::size_t{64} << 10};
constexpr std::size_t kMaxListed = 1000;
/// A topic may have 64 KiB: a list ends early, and the next request goes on behind it.
constexpr std::size_t kListedAtATime = 8;
constexpr std::size_t kMaxListedTopicBytes = std::size_t{512} << 10;
constexpr std::size_t kMaxIds = 1000;
constexpr const char* kJson = "application/json";

/// A bad request, with the reason for its sender.
struct BadRequest {
  std::string reason;
};

std::uint64_t parameter(const HttpRequest& request, std::string_view name, std::uint64_t fallback) {
  const auto text = request.parameter(name);
  if (!text) {
    return fallback;
  }
  std::uint64_t value = 0;
  const char* const end = text->data() + text->size();
  const auto [rest, error] = std::from_chars(text->data(), end, value);
  if (error != std::errc() || rest != end) {
    throw BadRequest{fmt::format("{}={} must be a number", name, *text)};
  }
  return value;
}

HttpResponse json_response(const Json& json, int status = 200) {
  return http_response(status, kJson, documents::line_of(json));
}

HttpResponse refusal(int status, const std::string& reason) {
  return json_response(Json{{"error", reason}}, status);
}

HttpResponse cannot_read() { return refusal(503, "the spool cannot be read at the moment"); }

const RecordInfo& record_of(const RecordInfo& info) { return info; }
const RecordInfo& record_of(const LetterInfo& info) { return info.record; }

/// What `describe` gives behind `after`, as far as an answer may go.
template <class Describe>
HttpResponse list_response(const HttpRequest& request, Describe describe) {
  SpoolId after{parameter(request, "after", 0)};
  std::size_t left = std::min<std::size_t>(parameter(request, "max", kMaxListed), kMaxListed);
  std::size_t topic_bytes = 0;
  Json list = Json::array();
  while (left > 0 && topic_bytes < kMaxListedTopicBytes) {
    const auto infos = describe(after, std::min(left, kListedAtATime));
    if (!infos) {
      return cannot_read();
    }
    if (infos->empty()) {
      break;
    }
    for (const auto& info : *infos) {
      list.push_back(documents::of(info));
      topic_bytes += record_of(info).topic.size();
    }
    left -= infos->size();
    after = record_of(infos->back()).id;
  }
  return json_response(list);
}

HttpResponse raw_response(RawResult result) {
  if (auto* const bytes = std::get_if<std::string>(&result)) {
    return http_response(200, "application/octet-stream", std::move(*bytes));
  }
  return std::holds_alternative<NoRecord>(result) ? refusal(404, "no such message") : cannot_read();
}

std::vector<SpoolId> ids_of(const std::string& body) {
  std::vector<SpoolId> ids;
  try {
    const Json document = Json::parse(body);
    for (const Json& id : document.at("ids")) {
      ids.push_back(SpoolId{id.get<std::uint64_t>()});
    }
  } catch (const Json::exception& error) {
    throw BadRequest{error.what()};
  }
  if (ids.size() > kMaxIds) {
    throw BadRequest{"too many ids at a time"};
  }
  return ids;
}

}  // namespace

class ControlServer::Impl {
 public:
  Impl(std::filesystem::path directory, Spool& spool)
      : directory_(std::move(directory)), spool_(spool) {
    set_routes();
  }

  void start() {
    thread_ = start_thread("control", [this](const std::stop_token& stop) { run(stop); });
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
    do {
      try {
        if (Fd socket = listen_on_path(control_socket(directory_))) {
          HttpServer server(kLimits, {},
                            [this](const HttpRequest& request) { return answer(request); });
          server.serve(std::move(socket), stop);
          return;
        }
        tell(failures, std::generic_category().message(errno));
      } catch (const std::system_error& error) {
        tell(failures, error.what());
      }
    } while (sleep_for(kBindRetry, stop));
  }

  void tell(Repetition& failures, const std::string& cause) const {
    if (const auto held_back = failures.admit("bind")) {
      log::warn("control", "no socket for the tools in the spool's folder, trying again",
                {{"directory", directory_.native()}, {"cause", cause}, {"repeated", *held_back}});
    }
  }

  [[nodiscard]] HttpResponse answer(const HttpRequest& request) const {
    try {
      return routes_.answer(request);
    } catch (const BadRequest& bad) {
      return refusal(400, bad.reason);
    }
  }

  void set_routes() {
    routes_.get("/spool", [this](const HttpRequest&, std::uint64_t) {
      return json_response(documents::of(SpoolState{spool_.totals(), to_string(spool_.intake())}));
    });
    routes_.get("/records", [this](const HttpRequest& request, std::uint64_t) {
      return list_response(
          request, [this](SpoolId after, std::size_t max) { return spool_.describe(after, max); });
    });
    routes_.get("/dead-letters", [this](const HttpRequest& request, std::uint64_t) {
      return list_response(request, [this](SpoolId after, std::size_t max) {
        return spool_.describe_letters(after, max);
      });
    });
    routes_.get("/records/*", [this](const HttpRequest& request, std::uint64_t id) {
      return raw_response(
          spool_.read_raw(SpoolId{id}, parameter(request, "offset", 0), bytes_of(request)));
    });
    routes_.get("/dead-letters/*", [this](const HttpRequest& request, std::uint64_t id) {
      return raw_response(
          spool_.read_letter(SpoolId{id}, parameter(request, "offset", 0), bytes_of(request)));
    });
    routes_.post("/dead-letters/replay", [this](const HttpRequest& request, std::uint64_t) {
      return move_letters(LetterMove::replay, request);
    });
    routes_.post("/dead-letters/drop", [this](const HttpRequest& request, std::uint64_t) {
      return move_letters(LetterMove::drop, request);
    });
  }

  [[nodiscard]] HttpResponse move_letters(LetterMove move, const HttpRequest& request) const {
    return json_response(documents::of(spool_.move_letters(move, ids_of(request.body)).get()));
  }

  static std::size_t bytes_of(const HttpRequest& request) {
    return std::min<std::size_t>(parameter(request, "max", kRawBytesAtATime), kRawBytesAtATime);
  }

  const std::filesystem::path directory_;
  Spool& spool_;
  HttpRoutes routes_;
  std::jthread thread_;
};

ControlServer::ControlServer(std::filesystem::path directory, Spool& spool)
    : impl_(std::make_unique<Impl>(std::move(directory), spool)) {}

ControlServer::~ControlServer() = default;

void ControlServer::start() { impl_->start(); }

void ControlServer::stop() { impl_->stop(); }

}  // namespace m2b
