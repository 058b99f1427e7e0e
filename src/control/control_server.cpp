#include "m2b/control/control_server.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <optional>
#include <stop_token>
#include <string>
#include <system_error>
#include <thread>
#include <variant>
#include <vector>

#include "control/documents.hpp"
#include "control/socket_path.hpp"
#include "http/http_server.hpp"
#include "m2b/util/log.hpp"
#include "m2b/util/repetition.hpp"
#include "m2b/util/thread.hpp"

namespace m2b {
namespace {

using documents::Json;

constexpr std::chrono::seconds kBindRetry{5};
/// A replay of a thousand letters takes its time on a slow disk.
constexpr HttpLimits kLimits{.workers = 2,
                             .connection_time = std::chrono::minutes(10),
                             .max_request_bytes = std::size_t{64} << 10,
                             .max_answer_bytes = std::size_t{64} << 20};
constexpr std::size_t kMaxListed = 1000;
constexpr std::size_t kMaxBytes = std::size_t{8} << 20;  // of a record at a time
constexpr std::size_t kMaxIds = 1000;
constexpr const char* kJson = "application/json";

/// A bad request, with the reason for its sender.
struct BadRequest {
  std::string reason;
};

std::uint64_t number(const std::string& name, const std::string& text) {
  std::uint64_t value = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || rest != end) {
    throw BadRequest{name + "=" + text + " must be a number"};
  }
  return value;
}

std::uint64_t parameter(const httplib::Request& request, const char* name, std::uint64_t fallback) {
  return request.has_param(name) ? number(name, request.get_param_value(name)) : fallback;
}

void answer(httplib::Response& response, const Json& json) {
  response.set_content(documents::line_of(json), kJson);
}

void refuse(httplib::Response& response, int status, const std::string& reason) {
  response.status = status;
  answer(response, Json{{"error", reason}});
}

template <class Info>
void answer_list(httplib::Response& response, const std::optional<std::vector<Info>>& infos) {
  if (!infos) {
    return refuse(response, 503, "the spool cannot be read at the moment");
  }
  Json list = Json::array();
  for (const Info& info : *infos) {
    list.push_back(documents::of(info));
  }
  answer(response, list);
}

void answer_raw(httplib::Response& response, const RawResult& result) {
  if (const auto* const bytes = std::get_if<std::string>(&result)) {
    response.set_content(*bytes, "application/octet-stream");
  } else if (std::holds_alternative<NoRecord>(result)) {
    refuse(response, 404, "no such message");
  } else {
    refuse(response, 503, "the spool cannot be read at the moment");
  }
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
      : directory_(std::move(directory)), spool_(spool) {}

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
    while (!stop.stop_requested()) {
      HttpServer server(stop, kLimits);  // one that has served cannot serve again
      set_routes(server);
      if (server.bind_to_path(control_socket(directory_))) {
        server.serve();
      } else if (const auto held_back = failures.admit("bind")) {
        log::warn("control", "no socket for the tools in the spool's folder, trying again",
                  {{"directory", directory_.native()},
                   {"cause", std::generic_category().message(errno)},
                   {"repeated", *held_back}});
      }
      static_cast<void>(sleep_for(kBindRetry, stop));
    }
  }

  void set_routes(HttpServer& server) {
    using Request = httplib::Request;
    using Response = httplib::Response;
    server.set_exception_handler([](const Request&, Response& response, std::exception_ptr error) {
      try {
        std::rethrow_exception(std::move(error));
      } catch (const BadRequest& bad) {
        refuse(response, 400, bad.reason);
      } catch (const std::exception& failure) {
        refuse(response, 500, failure.what());
      }
    });
    server.Get("/spool", [this](const Request&, Response& response) {
      answer(response, documents::of(SpoolState{spool_.totals(), to_string(spool_.intake())}));
    });
    server.Get("/records", [this](const Request& request, Response& response) {
      answer_list(response, spool_.describe(after_of(request), max_of(request)));
    });
    server.Get("/dead-letters", [this](const Request& request, Response& response) {
      answer_list(response, spool_.describe_letters(after_of(request), max_of(request)));
    });
    server.Get(R"(/records/(\d+))", [this](const Request& request, Response& response) {
      answer_raw(response, spool_.read_raw(id_of(request), parameter(request, "offset", 0),
                                           bytes_of(request)));
    });
    server.Get(R"(/dead-letters/(\d+))", [this](const Request& request, Response& response) {
      answer_raw(response, spool_.read_letter(id_of(request), parameter(request, "offset", 0),
                                              bytes_of(request)));
    });
    server.Post("/dead-letters/replay", [this](const Request& request, Response& response) {
      move_letters(LetterMove::replay, request, response);
    });
    server.Post("/dead-letters/drop", [this](const Request& request, Response& response) {
      move_letters(LetterMove::drop, request, response);
    });
  }

  void move_letters(LetterMove move, const httplib::Request& request, httplib::Response& response) {
    answer(response, documents::of(spool_.move_letters(move, ids_of(request.body)).get()));
  }

  static SpoolId after_of(const httplib::Request& request) {
    return SpoolId{parameter(request, "after", 0)};
  }
  static std::size_t max_of(const httplib::Request& request) {
    return std::min<std::size_t>(parameter(request, "max", kMaxListed), kMaxListed);
  }
  static std::size_t bytes_of(const httplib::Request& request) {
    return std::min<std::size_t>(parameter(request, "max", kMaxBytes), kMaxBytes);
  }
  static SpoolId id_of(const httplib::Request& request) {
    return SpoolId{number("id", request.matches[1].str())};
  }

  const std::filesystem::path directory_;
  Spool& spool_;
  std::jthread thread_;
};

ControlServer::ControlServer(std::filesystem::path directory, Spool& spool)
    : impl_(std::make_unique<Impl>(std::move(directory), spool)) {}

ControlServer::~ControlServer() = default;

void ControlServer::start() { impl_->start(); }

void ControlServer::stop() { impl_->stop(); }

}  // namespace m2b
