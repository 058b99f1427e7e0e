#include "m2b/control/control_client.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <iterator>
#include <utility>
#include <variant>

#include "control/documents.hpp"
#include "control/socket_path.hpp"
#include "http/http_client.hpp"

namespace m2b {
namespace {

using documents::Json;

constexpr std::size_t kIdsAtATime = 1000;
constexpr std::size_t kMaxRecordBytes = std::size_t{257} << 20;  // more than MQTT carries
/// Time for a replay on a slow disk; bytes for a list, whose topics may be of any characters.
constexpr HttpClientLimits kClientLimits{.time = std::chrono::minutes(10),
                                         .max_body_bytes = std::size_t{32} << 20};
/// A list of the daemon's has 50,000 keys, values and brackets at most. JSON made for harm takes
/// 75 times its size.
constexpr std::size_t kMaxJsonEvents = 200'000;
constexpr int kMaxJsonDepth = 4;
constexpr std::size_t kMaxRefusalBytes = 1000;

}  // namespace

class ControlClient::Impl {
 public:
  explicit Impl(const std::filesystem::path& directory) : socket_(control_socket(directory)) {}

  [[nodiscard]] Json get(const std::string& path) const {
    return document(checked(ask({.method = "GET", .path = path, .query = {}}), path));
  }
  [[nodiscard]] Json list(const std::string& path, SpoolId after) const {
    return document(checked(
        ask({.method = "GET", .path = path, .query = fmt::format("after={}", to_number(after))}),
        path));
  }
  [[nodiscard]] Json post(const std::string& path, const Json& body) const {
    return document(checked(ask({.method = "POST",
                                 .path = path,
                                 .query = {},
                                 .fields = {{"Content-Type", "application/json"}},
                                 .body = documents::line_of(body)}),
                            path));
  }

  /// Part by part, so that the daemon needs memory for no more.
  [[nodiscard]] std::optional<std::string> raw(const std::string& path) const {
    std::string all;
    while (true) {
      HttpResponse part =
          ask({.method = "GET",
               .path = path,
               .query = fmt::format("offset={}&max={}", all.size(), kRawBytesAtATime)});
      if (part.status == 404) {
        return std::nullopt;
      }
      part = checked(std::move(part), path);
      if (part.body.size() > kRawBytesAtATime || all.size() > kMaxRecordBytes) {
        throw ControlError("the daemon's answer is longer than a message can be");
      }
      all += part.body;
      if (part.body.size() < kRawBytesAtATime) {
        return all;
      }
    }
  }

 private:
  [[nodiscard]] HttpResponse ask(const HttpRequest& request) const {
    auto answer = ask_http(socket_, request, kClientLimits);
    if (const auto* const failure = std::get_if<HttpFailure>(&answer)) {
      throw ControlError("the daemon does not answer on its control socket: " + failure->cause);
    }
    return std::get<HttpResponse>(std::move(answer));
  }

  static HttpResponse checked(HttpResponse response, const std::string& path) {
    if (response.status != 200) {
      throw ControlError(fmt::format("the daemon answered {} to {}: {}", response.status, path,
                                     response.body.substr(0, kMaxRefusalBytes)));
    }
    return response;
  }

  static Json document(const HttpResponse& response) {
    std::size_t events = 0;
    const auto is_bounded = [&events](int depth, Json::parse_event_t /*event*/, Json& /*parsed*/) {
      if (depth > kMaxJsonDepth || ++events > kMaxJsonEvents) {
        throw ControlError("the daemon's answer has more parts than an answer can have");
      }
      return true;
    };
    try {
      return Json::parse(response.body, is_bounded);
    } catch (const Json::exception& error) {
      throw ControlError(std::string("the daemon's answer is no JSON: ") + error.what());
    }
  }

  const std::filesystem::path socket_;
};

namespace {

/// What `decode` makes of each document of a list.
template <class Decode>
auto decoded(const Json& list, Decode decode) -> std::vector<decltype(decode(list))> {
  std::vector<decltype(decode(list))> infos;
  try {
    std::ranges::transform(list, std::back_inserter(infos), decode);
  } catch (const Json::exception& error) {
    throw ControlError(std::string("the daemon's answer is another than expected: ") +
                       error.what());
  }
  return infos;
}

SpoolId id_of(const RecordInfo& record) { return record.id; }
SpoolId id_of(const LetterInfo& letter) { return letter.record.id; }

/// Ascending from behind `after`: whoever asks for what is behind the last one comes to an end.
template <class Info>
std::vector<Info> in_order(std::vector<Info> infos, SpoolId after) {
  for (const Info& info : infos) {
    if (to_number(id_of(info)) <= to_number(after)) {
      throw ControlError("the daemon's answer has ids that do not ascend");
    }
    after = id_of(info);
  }
  return infos;
}

}  // namespace

ControlClient::ControlClient(const std::filesystem::path& directory)
    : impl_(std::make_unique<Impl>(directory)) {}

ControlClient::~ControlClient() = default;

SpoolState ControlClient::state() {
  return decoded(Json::array({impl_->get("/spool")}), documents::state_of).front();
}

std::vector<RecordInfo> ControlClient::records(SpoolId after) {
  return in_order(decoded(impl_->list("/records", after), documents::record_of), after);
}

std::vector<LetterInfo> ControlClient::letters(SpoolId after) {
  return in_order(decoded(impl_->list("/dead-letters", after), documents::letter_of), after);
}

std::optional<std::string> ControlClient::read_record(SpoolId id) {
  return impl_->raw(fmt::format("/records/{}", to_number(id)));
}

std::optional<std::string> ControlClient::read_letter(SpoolId id) {
  return impl_->raw(fmt::format("/dead-letters/{}", to_number(id)));
}

LettersMoved ControlClient::move_letters(LetterMove move, const std::vector<SpoolId>& ids) {
  const std::string path =
      move == LetterMove::replay ? "/dead-letters/replay" : "/dead-letters/drop";
  LettersMoved all;
  for (std::size_t first = 0; first < ids.size() && all.failure.empty(); first += kIdsAtATime) {
    Json body{{"ids", Json::array()}};
    for (std::size_t i = first; i < std::min(first + kIdsAtATime, ids.size()); ++i) {
      body["ids"].push_back(to_number(ids[i]));
    }
    const LettersMoved moved =
        decoded(Json::array({impl_->post(path, body)}), documents::moved_of).front();
    all.moved += moved.moved;
    all.damaged.insert(all.damaged.end(), moved.damaged.begin(), moved.damaged.end());
    all.failure = moved.failure;
  }
  return all;
}

}  // namespace m2b
