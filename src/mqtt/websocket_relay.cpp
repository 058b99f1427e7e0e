#include "mqtt/websocket_relay.hpp"

#include <dirent.h>
#include <string.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/bind_handler.hpp>
#include <boost/beast/core/stream_traits.hpp>
#include <boost/beast/http/field.hpp>
#include <boost/beast/websocket.hpp>

#include "m2b/tls/peer_name.hpp"
#include "m2b/tls/tls_material.hpp"
#include "m2b/util/handle.hpp"
#include "m2b/util/host.hpp"
#include "m2b/util/thread.hpp"
#include "mqtt/upgrade_answer.hpp"

namespace m2b {
namespace {

namespace net = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
namespace websocket = beast::websocket;
using net::ip::tcp;
using Error = boost::system::error_code;
using Clock = std::chrono::steady_clock;

/// What is on its way from the broker and to it, beside what the kernel's sockets hold.
constexpr std::size_t kInboundBytes = 65'536;
constexpr std::size_t kOutboundBytes = 16'384;
/// How long an open WebSocket may take to close once Paho is gone.
constexpr std::chrono::milliseconds kClosePatience{300};
/// Others on this machine may call the port before Paho does.
constexpr int kBacklog = 16;

std::string text_of(const tcp::endpoint& endpoint) {
  const std::string address = endpoint.address().to_string();
  return fmt::format("{}:{}", endpoint.address().is_v6() ? "[" + address + "]" : address,
                     endpoint.port());
}

/// A port of the loopback: of IPv4, or of IPv6 where there is no other.
tcp::acceptor listen_on_loopback(net::io_context& context) {
  Error first;
  for (const net::ip::address& loopback : {net::ip::address(net::ip::address_v4::loopback()),
                                           net::ip::address(net::ip::address_v6::loopback())}) {
    tcp::acceptor listener(context);
    const tcp::endpoint any_port(loopback, 0);
    Error error;
    listener.open(any_port.protocol(), error);
    if (!error) {
      listener.bind(any_port, error);
    }
    if (!error) {
      listener.listen(kBacklog, error);
    }
    if (!error) {
      return listener;
    }
    if (!first) {
      first = error;
    }
  }
  throw std::system_error(first.value(), std::system_category(),
                          "a port of the loopback, for MQTT over WebSocket");
}

/// The other end of an accepted connection is a socket of this process, and not of somebody else on
/// this machine who saw the port.
bool is_our_own(const tcp::endpoint& client, const tcp::endpoint& server) {
  const Handle<DIR, &::closedir> all(::opendir("/proc/self/fd"));
  if (all == nullptr) {
    return false;
  }
  // NOLINTNEXTLINE(concurrency-mt-unsafe): safe for a stream that no other thread reads
  while (const dirent* const each = ::readdir(all.get())) {
    const int socket = std::atoi(each->d_name);  // NOLINT(cert-err34-c): the kernel writes numbers
    tcp::endpoint local;
    tcp::endpoint remote;
    auto local_size = static_cast<socklen_t>(local.capacity());
    auto remote_size = static_cast<socklen_t>(remote.capacity());
    if (::getsockname(socket, local.data(), &local_size) == 0 &&
        ::getpeername(socket, remote.data(), &remote_size) == 0 && local == client &&
        remote == server) {
      return true;
    }
  }
  return false;
}

/// The stream below the WebSocket. Keeps the answer to the upgrade, of which Beast tells nothing
/// when it cannot use it, and ends the upgrade as soon as that answer is a refusal: its body may
/// have no end.
template <class Next>
class UpgradeTap {
 public:
  using executor_type = typename Next::executor_type;
  using next_layer_type = Next;

  template <class... Arguments>
  explicit UpgradeTap(Arguments&&... arguments) : next_(std::forward<Arguments>(arguments)...) {}

  [[nodiscard]] executor_type get_executor() noexcept { return next_.get_executor(); }
  [[nodiscard]] Next& next_layer() noexcept { return next_; }
  [[nodiscard]] const Next& next_layer() const noexcept { return next_; }
  [[nodiscard]] const UpgradeAnswer& answer() const noexcept { return answer_; }
  void stop_listening() noexcept { listens_ = false; }

  template <class Buffers, class Handler>
  void async_read_some(const Buffers& buffers, Handler&& handler) {
    if (!listens_) {
      next_.async_read_some(buffers, std::forward<Handler>(handler));
      return;
    }
    next_.async_read_some(buffers, [this, buffers, handler = std::forward<Handler>(handler)](
                                       Error error, std::size_t size) mutable {
      keep(buffers, size);
      if (!error && answer_.is_refusal()) {
        error = websocket::error::upgrade_declined;
      }
      handler(error, size);
    });
  }

  template <class Buffers, class Handler>
  void async_write_some(const Buffers& buffers, Handler&& handler) {
    next_.async_write_some(buffers, std::forward<Handler>(handler));
  }

 private:
  template <class Buffers>
  void keep(const Buffers& buffers, std::size_t size) {
    const auto end = net::buffer_sequence_end(buffers);
    for (auto each = net::buffer_sequence_begin(buffers); each != end && size > 0; ++each) {
      const net::const_buffer part(*each);
      const std::size_t taken = std::min(size, part.size());
      answer_.add({static_cast<const char*>(part.data()), taken});
      size -= taken;
    }
  }

  Next next_;
  UpgradeAnswer answer_;
  bool listens_ = true;
};

/// Beast calls it once the close frames are exchanged, or to end a connection that broke the rules.
/// A peer that is waited for may let us wait for ever, so nobody is.
template <class Next, class Handler>
void async_teardown(beast::role_type /*role*/, UpgradeTap<Next>& stream, Handler&& handler) {
  Error ignored;
  beast::get_lowest_layer(stream).shutdown(tcp::socket::shutdown_send, ignored);
  net::post(stream.get_executor(),
            beast::bind_front_handler(std::forward<Handler>(handler), Error()));
}

}  // namespace

/// The work of a relay, but for what depends on the stream to the broker. Everything but start(),
/// stop(), address() and end() happens on its thread.
class WebSocketLink {
 public:
  explicit WebSocketLink(const MqttOptions& options)
      : options_(options), listener_(listen_on_loopback(context_)) {}
  virtual ~WebSocketLink() = default;
  WebSocketLink(const WebSocketLink&) = delete;
  WebSocketLink& operator=(const WebSocketLink&) = delete;

  /// Throws std::system_error.
  void start() {
    accept();
    thread_ = start_thread("mqtt-websocket", [this](const std::stop_token&) { context_.run(); });
  }

  /// Returns when the thread has ended. Once, after start().
  void stop() {
    net::post(context_, [this] {
      if (stage_ != RelayEnd::Stage::open) {
        finish();
      } else {
        finish_in(kClosePatience);
      }
    });
    thread_.join();
  }

  [[nodiscard]] tcp::endpoint address() const { return address_; }

  [[nodiscard]] std::optional<RelayEnd> end() const {
    const std::lock_guard lock(mutex_);
    return end_;
  }

 protected:
  using Stage = RelayEnd::Stage;

  // Of the broker's side.

  [[nodiscard]] virtual tcp::socket& broker() noexcept = 0;
  /// From a TCP connection on; ends in begin_relaying() or fail().
  virtual void upgrade() = 0;
  virtual void read_from_broker() = 0;
  /// The first bytes of outbound_; then on_sent() with the same size.
  virtual void write_to_broker(std::size_t size) = 0;
  virtual void close_websocket() = 0;

  [[nodiscard]] net::io_context& context() noexcept { return context_; }
  [[nodiscard]] const MqttOptions& options() const noexcept { return options_; }
  [[nodiscard]] net::mutable_buffer inbound() noexcept { return net::buffer(inbound_); }
  [[nodiscard]] net::const_buffer outbound(std::size_t size) const noexcept {
    return net::buffer(outbound_.data(), size);
  }
  [[nodiscard]] bool has_ended() const noexcept { return has_failed_ || is_finished_; }

  void enter(Stage stage) noexcept { stage_ = stage; }

  void begin_relaying() {
    deadline_.cancel();
    stage_ = Stage::open;
    read_from_broker();
    read_from_paho();
  }

  /// So many bytes of inbound() came.
  void on_received(std::size_t size) {
    net::async_write(paho_, net::buffer(inbound_.data(), size), [this](Error error, std::size_t) {
      // Where Paho is gone its reading end says so as well.
      if (!error && !has_ended()) {
        read_from_broker();
      }
    });
  }

  void on_sent(Error error, std::size_t size) {
    ::explicit_bzero(outbound_.data(), size);  // CONNECT holds the password
    if (error && error != net::error::operation_aborted) {
      fail(ConnectFault::passing("the connection under the WebSocket broke: " + error.message()));
    } else if (!is_finished_ && !reads_from_paho_) {
      read_from_paho();
    }
  }

  void on_closed() { finish(); }

  /// The broker's side has ended: Paho's ends behind what it got.
  void fail(ConnectFault fault) {
    if (has_ended()) {
      return;
    }
    has_failed_ = true;
    {
      const std::lock_guard lock(mutex_);
      end_ = RelayEnd{stage_, std::move(fault)};
    }
    deadline_.cancel();
    attempt_.cancel();
    resolver_.cancel();
    Error ignored;
    broker().close(ignored);
    listener_.close(ignored);
    paho_.shutdown(tcp::socket::shutdown_send, ignored);
    if (!reads_from_paho_) {
      read_from_paho();  // what it still says is for nobody
    }
  }

 private:
  void accept() {
    listener_.async_accept(paho_, [this](Error error) {
      if (has_ended()) {
        return;
      }
      if (error) {
        return fail(
            ConnectFault::passing("Paho's connection cannot be accepted: " + error.message()));
      }
      Error ignored;
      if (!is_our_own(paho_.remote_endpoint(ignored), paho_.local_endpoint(ignored))) {
        paho_.close(ignored);
        return accept();
      }
      listener_.close(ignored);
      paho_.set_option(tcp::no_delay(true), ignored);
      deadline_.expires_after(options_.connect_timeout);
      deadline_.async_wait([this](Error stopped) {
        if (!stopped && stage_ != Stage::open) {  // it may have been too late to stop it
          on_deadline();
        }
      });
      look_up();
    });
  }

  void on_deadline() {
    std::string what = "no whole answer to the WebSocket upgrade";
    if (stage_ == Stage::reach && addresses_.empty()) {
      what = fmt::format("no answer to the look-up of the name {} (BROKER_URL)", options_.host);
    } else if (stage_ == Stage::reach) {
      what = fmt::format("{}:{} cannot be reached", options_.host, options_.port);
    } else if (stage_ == Stage::tls) {
      what = "no end of the TLS handshake";
    }
    fail(ConnectFault::passing(fmt::format("{} within {} s (MQTT_CONNECT_TIMEOUT){}", what,
                                           options_.connect_timeout.count(), tried())));
  }

  void look_up() {
    resolver_.async_resolve(
        bare_host(options_.host), std::to_string(options_.port), tcp::resolver::numeric_service,
        [this](Error error, const tcp::resolver::results_type& found) {
          if (has_ended()) {
            return;
          }
          if (error) {
            return fail(ConnectFault::passing(fmt::format(
                "the name {} cannot be resolved ({}): is BROKER_URL right, and the name server "
                "there?",
                options_.host, error.message())));
          }
          for (const auto& each : found) {
            addresses_.push_back(each.endpoint());
          }
          connect();
        });
  }

  /// One address after the other, each with its share of the time that is left.
  void connect() {
    if (next_address_ == addresses_.size()) {
      return fail(ConnectFault::passing(
          fmt::format("{}:{} cannot be reached{}", options_.host, options_.port, tried())));
    }
    const auto left = addresses_.size() - next_address_;
    const tcp::endpoint address = addresses_[next_address_++];
    attempt_.expires_after((deadline_.expiry() - Clock::now()) / left);
    attempt_.async_wait([this, mine = next_address_](Error stopped) {
      Error ignored;
      if (!stopped && under_way_ == mine && !has_ended()) {
        is_late_ = true;
        broker().close(ignored);
      }
    });
    is_late_ = false;
    under_way_ = next_address_;
    broker().async_connect(address, [this, address](Error error) {
      under_way_ = 0;
      if (has_ended()) {
        return;
      }
      attempt_.cancel();
      Error ignored;
      if (error || is_late_) {
        failures_.push_back(text_of(address) + ": " + (is_late_ ? "no answer" : error.message()));
        broker().close(ignored);
        return connect();
      }
      broker().set_option(tcp::no_delay(true), ignored);
      broker().set_option(net::socket_base::keep_alive(true), ignored);
      upgrade();
    });
  }

  /// The addresses that failed, with their errors, to follow a sentence.
  [[nodiscard]] std::string tried() const {
    constexpr std::size_t kMost = 8;  // a name may have any number of addresses
    if (failures_.empty()) {
      return {};
    }
    const auto end =
        failures_.begin() + static_cast<std::ptrdiff_t>(std::min(failures_.size(), kMost));
    return fmt::format(" ({}{})", fmt::join(failures_.begin(), end, "; "),
                       failures_.size() > kMost ? "; ..." : "");
  }

  void read_from_paho() {
    reads_from_paho_ = true;
    paho_.async_read_some(net::buffer(outbound_), [this](Error error, std::size_t size) {
      reads_from_paho_ = false;
      if (is_finished_) {
        return;
      }
      if (error) {
        return on_paho_gone();
      }
      if (has_failed_) {
        return read_from_paho();
      }
      write_to_broker(size);
    });
  }

  void on_paho_gone() {
    if (has_failed_ || stage_ != Stage::open) {
      return finish();
    }
    finish_in(kClosePatience);
    close_websocket();
  }

  void finish_in(std::chrono::milliseconds time) {
    if (is_finished_ || deadline_is_last_) {
      return;
    }
    deadline_is_last_ = true;
    deadline_.expires_after(time);
    deadline_.async_wait([this](Error stopped) {
      if (!stopped) {
        finish();
      }
    });
  }

  /// Nothing is left to do: the thread ends.
  void finish() {
    is_finished_ = true;
    Error ignored;
    deadline_.cancel();
    attempt_.cancel();
    resolver_.cancel();
    listener_.close(ignored);
    paho_.close(ignored);
    broker().close(ignored);
    context_.stop();
  }

  const MqttOptions& options_;
  net::io_context context_{1};
  tcp::acceptor listener_;
  const tcp::endpoint address_ = listener_.local_endpoint();
  tcp::socket paho_{context_};
  tcp::resolver resolver_{context_};
  net::steady_timer deadline_{context_};  // of the connect, later of the close
  net::steady_timer attempt_{context_};   // of one address

  Stage stage_ = Stage::reach;
  bool has_failed_ = false;
  bool is_finished_ = false;
  bool deadline_is_last_ = false;
  bool reads_from_paho_ = false;
  bool is_late_ = false;
  std::vector<tcp::endpoint> addresses_;
  std::size_t next_address_ = 0;
  std::size_t under_way_ = 0;  // the address that is called, counted from 1
  std::vector<std::string> failures_;
  std::array<char, kInboundBytes> inbound_;
  std::array<char, kOutboundBytes> outbound_;

  mutable std::mutex mutex_;  // guards end_
  std::optional<RelayEnd> end_;

  std::jthread thread_;
};

namespace {

/// Over TCP, or over TLS over TCP.
template <class Next>
class LinkOver : public WebSocketLink {
 protected:
  template <class... Arguments>
  explicit LinkOver(const MqttOptions& options, Arguments&... arguments)
      : WebSocketLink(options), stream_(context(), arguments...) {
    stream_.binary(true);  // MQTT 5, section 6: [MQTT-6.0.0-1]
    stream_.auto_fragment(false);
    stream_.read_message_max(0);  // messages are not collected, so they may have any size
    stream_.set_option(websocket::stream_base::decorator([](websocket::request_type& request) {
      request.set(http::field::sec_websocket_protocol, kSubprotocol);
      request.set(http::field::user_agent, "mqtt-to-blob/" M2B_VERSION);
    }));
  }

  [[nodiscard]] Next& layer_below() noexcept { return stream_.next_layer().next_layer(); }

  void begin_upgrade() {
    enter(Stage::upgrade);
    stream_.async_handshake(
        response_, host_header(), options().websocket_path, [this](Error error) {
          if (has_ended()) {
            return;
          }
          stream_.next_layer().stop_listening();
          if (error.category() == net::error::get_ssl_category()) {
            enter(Stage::tls);  // with TLS 1.3 our certificate is refused behind the handshake
            return fail(ConnectFault::passing("TLS ended the connection: " + error.message()));
          }
          if (error) {
            return fail(stream_.next_layer().answer().explain(options(), error.message()));
          }
          if (auto fault = deviation()) {
            return fail(*std::move(fault));
          }
          begin_relaying();
        });
  }

 private:
  static constexpr const char* kSubprotocol = "mqtt";

  [[nodiscard]] tcp::socket& broker() noexcept override { return beast::get_lowest_layer(stream_); }

  /// RFC 6455, section 4.1: the port only where it is not the scheme's own.
  [[nodiscard]] std::string host_header() const {
    constexpr std::uint16_t kHttp = 80;
    constexpr std::uint16_t kHttps = 443;
    const std::string& name = options().tls.server_name;
    const bool secure = is_secure(options().transport);
    const std::string& host = secure && !name.empty() ? name : options().host;
    return options().port == (secure ? kHttps : kHttp) ? host
                                                       : fmt::format("{}:{}", host, options().port);
  }

  /// What an answer that accepts the upgrade grants beside what was asked for, or does not grant
  /// ([MQTT-6.0.0-4]; RFC 6455, section 4.1).
  [[nodiscard]] std::optional<ConnectFault> deviation() const {
    const auto text_of_field = [this](http::field field) {
      const auto value = response_[field];
      constexpr std::size_t kMost = 60;
      return excerpt({value.data(), value.size()}, kMost);
    };
    const std::string protocol = text_of_field(http::field::sec_websocket_protocol);
    if (protocol != kSubprotocol) {
      return ConnectFault::lasting(fmt::format(
          "the WebSocket at {} (MQTT_WEBSOCKET_PATH) does not select the subprotocol mqtt, but "
          "{}: is it the broker's, and does a proxy on the way pass Sec-WebSocket-Protocol on?",
          options().websocket_path, protocol.empty() ? "none" : '"' + protocol + '"'));
    }
    if (response_.count(http::field::sec_websocket_extensions) > 0) {
      return ConnectFault::lasting(
          "the answer to the WebSocket upgrade grants an extension that nobody asked for: " +
          text_of_field(http::field::sec_websocket_extensions));
    }
    return std::nullopt;
  }

  void read_from_broker() override {
    stream_.async_read_some(inbound(), [this](Error error, std::size_t size) {
      if (has_ended()) {
        return;
      }
      if (error && error != websocket::error::bad_frame_payload) {
        return on_broker_gone(error);
      }
      if (error || stream_.got_text()) {  // only text can be wrong in itself
        return fail(ConnectFault::passing(
            "the broker sent a text frame over the WebSocket; MQTT travels in binary "
            "frames (MQTT 5, section 6)"));
      }
      if (size == 0) {
        return read_from_broker();  // an empty message
      }
      on_received(size);
    });
  }

  void on_broker_gone(Error error) {
    if (error == net::error::operation_aborted) {
      return;  // what ended the other direction, or the close, says more
    }
    if (error == websocket::error::closed) {
      const auto& reason = stream_.reason();
      return fail(ConnectFault::passing(
          "the broker closed the WebSocket with " +
          describe_close(reason.code, {reason.reason.data(), reason.reason.size()})));
    }
    if (error == websocket::condition::protocol_violation) {
      return fail(ConnectFault::passing("the broker broke the rules of WebSocket (RFC 6455): " +
                                        error.message()));
    }
    if (error == net::error::eof || error == net::ssl::error::stream_truncated) {
      return fail(
          ConnectFault::passing("the broker ended the connection without closing the WebSocket"));
    }
    fail(ConnectFault::passing("the connection under the WebSocket broke: " + error.message()));
  }

  void write_to_broker(std::size_t size) override {
    stream_.async_write(outbound(size),
                        [this, size](Error error, std::size_t) { on_sent(error, size); });
  }

  void close_websocket() override {
    stream_.async_close(websocket::close_code::normal, [this](Error) { on_closed(); });
  }

  websocket::stream<UpgradeTap<Next>, false> stream_;  // false: no compression in this program
  websocket::response_type response_;
};

class PlainLink final : public LinkOver<tcp::socket> {
 public:
  explicit PlainLink(const MqttOptions& options) : LinkOver(options) {}

 private:
  void upgrade() override { begin_upgrade(); }
};

/// Reads the files when it is made; what OpenSSL makes of the context later takes them from there.
struct TlsContext {
  explicit TlsContext(const TlsOptions& options)
      : fault(equip_once(options, context.native_handle())) {}

  net::ssl::context context{net::ssl::context::tls_client};
  const std::string fault;  // empty: none
};

class TlsLink final : private TlsContext, public LinkOver<net::ssl::stream<tcp::socket>> {
 public:
  explicit TlsLink(const MqttOptions& options)
      : TlsContext(options.tls), LinkOver(options, TlsContext::context) {}

 private:
  void upgrade() override {
    enter(Stage::tls);
    const TlsOptions& tls = options().tls;
    const std::string name = bare_host(tls.server_name.empty() ? options().host : tls.server_name);
    if (!fault.empty()) {
      return fail(ConnectFault::lasting(fault));
    }
    if (!require_peer_name(layer_below().native_handle(), name)) {
      return fail(ConnectFault::lasting("TLS cannot be set up for " + name));
    }
    layer_below().async_handshake(net::ssl::stream_base::client, [this](Error error) {
      if (has_ended()) {
        return;
      }
      if (error) {
        return fail(ConnectFault::passing("the TLS handshake fails: " + error.message()));
      }
      begin_upgrade();
    });
  }
};

std::unique_ptr<WebSocketLink> make_link(const MqttOptions& options) {
  if (is_secure(options.transport)) {
    return std::make_unique<TlsLink>(options);
  }
  return std::make_unique<PlainLink>(options);
}

}  // namespace

WebSocketRelay::WebSocketRelay(const MqttOptions& options) : link_(make_link(options)) {
  link_->start();
}

WebSocketRelay::~WebSocketRelay() { link_->stop(); }

std::string WebSocketRelay::address() const { return "tcp://" + text_of(link_->address()); }

std::optional<RelayEnd> WebSocketRelay::end() const { return link_->end(); }

}  // namespace m2b
