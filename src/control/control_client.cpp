#include "m2b/control/control_client.hpp"

#include <fmt/format.h>
#include <httplib.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "control/documents.hpp"
#include "control/socket_path.hpp"
#include "http/unix_address.hpp"

namespace m2b {
namespace {

using documents::Json;

constexpr std::size_t kBytesAtATime = std::size_t{4} << 20;
constexpr std::size_t kIdsAtATime = 1000;
constexpr time_t kPatienceSeconds = 600;  // for a replay on a slow disk

/// httplib's client on a Unix socket; its host is only for the Host header.
class UnixClient final : public httplib::ClientImpl {
 public:
  explicit UnixClient(std::filesystem::path path)
      : httplib::ClientImpl("localhost"), path_(std::move(path)) {}

 private:
  bool create_and_connect_socket(Socket& socket, httplib::Error& error) override {
    const UnixAddress address(path_);
    Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!address || !fd || ::connect(fd.get(), address.get(), address.size()) != 0) {
      error = httplib::Error::Connection;
      return false;
    }
    socket.sock = fd.release();
    return true;
  }

  const std::filesystem::path path_;
};

}  // namespace

class ControlClient::Impl {
 public:
  explicit Impl(const std::filesystem::path& directory) : client_(control_socket(directory)) {
    client_.set_read_timeout(kPatienceSeconds);
  }

  Json get(const std::string& path) { return document(checked(client_.Get(path), path)); }

  Json post(const std::string& path, const Json& body) {
    return document(
        checked(client_.Post(path, documents::line_of(body), "application/json"), path));
  }

  /// Part by part, so that the daemon needs memory for no more.
  std::optional<std::string> raw(const std::string& path) {
    std::string all;
    while (true) {
      const std::string part = fmt::format("{}?offset={}&max={}", path, all.size(), kBytesAtATime);
      const httplib::Result result = client_.Get(part);
      if (result && result->status == 404) {
        return std::nullopt;
      }
      const httplib::Response& response = checked(result, part);
      all += response.body;
      if (response.body.size() < kBytesAtATime) {
        return all;
      }
    }
  }

 private:
  static const httplib::Response& checked(const httplib::Result& result, const std::string& path) {
    if (!result) {
      throw ControlError("the daemon does not answer on its control socket: " +
                         httplib::to_string(result.error()));
    }
    if (result->status != 200) {
      throw ControlError(
          fmt::format("the daemon answered {} to {}: {}", result->status, path, result->body));
    }
    return *result;
  }

  static Json document(const httplib::Response& response) {
    try {
      return Json::parse(response.body);
    } catch (const Json::exception& error) {
      throw ControlError(std::string("the daemon's answer is no JSON: ") + error.what());
    }
  }

  UnixClient client_;
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

}  // namespace

ControlClient::ControlClient(const std::filesystem::path& directory)
    : impl_(std::make_unique<Impl>(directory)) {}

ControlClient::~ControlClient() = default;

SpoolState ControlClient::state() {
  return decoded(Json::array({impl_->get("/spool")}), documents::state_of).front();
}

std::vector<RecordInfo> ControlClient::records(SpoolId after) {
  return decoded(impl_->get(fmt::format("/records?after={}", to_number(after))),
                 documents::record_of);
}

std::vector<LetterInfo> ControlClient::letters(SpoolId after) {
  return decoded(impl_->get(fmt::format("/dead-letters?after={}", to_number(after))),
                 documents::letter_of);
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
