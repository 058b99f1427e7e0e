#include "http/http_client.hpp"

#include <sys/socket.h>
#include <sys/time.h>

#include <boost/asio/connect.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>

#include <cerrno>
#include <cstdint>
#include <optional>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "http/peer_check.hpp"
#include "http/unix_address.hpp"
#include "m2b/util/ascii.hpp"
#include "m2b/util/fd.hpp"

namespace m2b {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using boost::system::error_code;
using Generic = asio::generic::stream_protocol;

constexpr std::uint32_t kMaxHeaderBytes = 16U << 10U;
/// Of what is read at a time.
constexpr std::size_t kBufferBytes = std::size_t{64} << 10;

/// One request and its answer: connects, sends, receives.
class Exchange {
 public:
  Exchange(const HttpRequest& request, const std::string& host, std::size_t max_body_bytes) {
    message_.method_string(request.method);
    message_.target(request.query.empty() ? request.path : request.path + "?" + request.query);
    message_.version(11);
    message_.set(http::field::host, host);
    message_.set(http::field::connection, "close");
    for (const HttpField& field : request.fields) {
      message_.set(field.name, field.value);
    }
    message_.body() = request.body;
    message_.prepare_payload();
    parser_.header_limit(kMaxHeaderBytes);
    parser_.body_limit(max_body_bytes);
    parser_.skip(request.method == "HEAD");
  }

  /// Nothing: the answer is there.
  std::optional<HttpFailure> run(const std::vector<Generic::endpoint>& endpoints,
                                 std::chrono::milliseconds time) {
    asio::async_connect(socket_, endpoints,
                        [this](const error_code& error, const Generic::endpoint&) {
                          if (error) {
                            result_ = error;
                          } else {
                            send();
                          }
                        });
    return outcome(time);
  }

  /// As above, over a Unix socket that is connected.
  std::optional<HttpFailure> run(Fd connected, std::chrono::milliseconds time) {
    socket_.assign(Generic(AF_UNIX, 0), connected.get());
    static_cast<void>(connected.release());
    send();
    return outcome(time);
  }

  HttpResponse response() {
    auto message = parser_.release();
    HttpResponse response{.status = static_cast<int>(message.result_int())};
    for (const auto& field : message) {
      response.fields.push_back(
          {std::string(field.name_string().data(), field.name_string().size()),
           std::string(field.value().data(), field.value().size())});
    }
    response.body = std::move(message.body());
    return response;
  }

 private:
  std::optional<HttpFailure> outcome(std::chrono::milliseconds time) {
    io_.run_for(time);
    if (!result_) {
      return HttpFailure{"the time is over"};
    }
    return *result_ ? std::optional(HttpFailure{result_->message()}) : std::nullopt;
  }

  void send() {
    // Where that fails there may be an answer all the same: of a server that has refused to read.
    http::async_write(socket_, message_, [this](const error_code&, std::size_t) { receive(); });
  }

  /// The header by itself: Boost 1.74 forgets the limit of a body that comes along with its header.
  void receive() {
    http::async_read_header(socket_, buffer_, parser_,
                            [this](const error_code& error, std::size_t) {
                              if (error) {
                                result_ = error;
                              } else {
                                receive_body();
                              }
                            });
  }

  /// No transfer coding, which our servers never use: what a chunked answer holds besides its body,
  /// as extensions and trailers, is not bounded by the limit of the body.
  void receive_body() {
    if (parser_.get().count(http::field::transfer_encoding) > 0) {
      result_ = http::error::bad_transfer_encoding;
      return;
    }
    http::async_read(socket_, buffer_, parser_,
                     [this](const error_code& error, std::size_t) { result_ = error; });
  }

  asio::io_context io_{1};
  asio::generic::stream_protocol::socket socket_{io_};
  http::request<http::string_body> message_;
  http::response_parser<http::string_body> parser_;
  boost::beast::flat_buffer buffer_{kBufferBytes};
  std::optional<error_code> result_;
};

std::variant<HttpResponse, HttpFailure> answer_of(Exchange& exchange,
                                                  std::optional<HttpFailure> failure) {
  if (failure) {
    return *std::move(failure);
  }
  HttpResponse response = exchange.response();
  const std::string_view coding = response.field("content-encoding");
  if (!coding.empty() && !is_ascii_word(coding, "identity")) {
    return HttpFailure{"the answer is encoded, which was not asked for"};
  }
  return response;
}

std::variant<HttpResponse, HttpFailure> ask(const TcpAddress& peer, const HttpRequest& request,
                                            const HttpClientLimits& limits) {
  asio::io_context io;
  error_code error;
  const auto found =
      asio::ip::tcp::resolver(io).resolve(peer.host, std::to_string(peer.port), error);
  if (error) {
    return HttpFailure{error.message()};
  }
  std::vector<Generic::endpoint> endpoints;
  for (const auto& entry : found) {
    endpoints.emplace_back(entry.endpoint());
  }
  const bool is_v6 = peer.host.find(':') != std::string::npos;
  const std::string host = is_v6 ? "[" + peer.host + "]" : peer.host;
  Exchange exchange(request, fmt::format("{}:{}", host, peer.port), limits.max_body_bytes);
  return answer_of(exchange, exchange.run(endpoints, limits.time));
}

/// Not by Asio, which takes EAGAIN, where too many wait at the socket already, for a connection.
Fd connect_to(const UnixAddress& address, std::chrono::milliseconds time) {
  Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const auto seconds = std::chrono::floor<std::chrono::seconds>(time);
  const timeval patience{
      .tv_sec = seconds.count(),
      .tv_usec = std::chrono::duration_cast<std::chrono::microseconds>(time - seconds).count()};
  const bool connected =
      socket &&
      ::setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) == 0 &&
      ::connect(socket.get(), address.get(), address.size()) == 0;
  return connected ? std::move(socket) : Fd();
}

std::variant<HttpResponse, HttpFailure> ask(const std::filesystem::path& peer,
                                            const HttpRequest& request,
                                            const HttpClientLimits& limits) {
  const auto begin = std::chrono::steady_clock::now();
  const UnixAddress address(peer);
  if (!address) {
    return HttpFailure{"the folder of the socket cannot be opened"};
  }
  Fd socket = connect_to(address, limits.time);
  if (!socket) {
    return HttpFailure{std::generic_category().message(errno)};
  }
  if (!is_trusted_peer(socket.get())) {
    return HttpFailure{"another user listens at the socket"};
  }
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(begin + limits.time -
                                                                 std::chrono::steady_clock::now());
  Exchange exchange(request, "localhost", limits.max_body_bytes);
  return answer_of(exchange, exchange.run(std::move(socket), left));
}

}  // namespace

std::variant<HttpResponse, HttpFailure> ask_http(const HttpPeer& peer, const HttpRequest& request,
                                                 const HttpClientLimits& limits) {
  return std::visit([&](const auto& one) { return ask(one, request, limits); }, peer);
}

}  // namespace m2b
