#include "m2b/tls/connect_probe.hpp"

#include <arpa/inet.h>
#include <netdb.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <optional>
#include <system_error>
#include <utility>
#include <variant>

#include <fmt/format.h>
#include <openssl/err.h>

#include "m2b/tls/handshake_limit.hpp"
#include "m2b/tls/peer_name.hpp"
#include "m2b/tls/tls_material.hpp"
#include "m2b/util/fd.hpp"
#include "m2b/util/handle.hpp"
#include "m2b/util/host.hpp"
#include "tls/openssl.hpp"
#include "tls/verify_fault.hpp"

namespace m2b {
namespace {

using Clock = std::chrono::steady_clock;
/// How long a peer that wants a certificate of ours may take to say so: with TLS 1.3 only after
/// what is a complete handshake to us (RFC 8446, section 4.4.2.4).
constexpr std::chrono::milliseconds kSecondThoughts{500};

std::string text_of(int error) { return std::generic_category().message(error); }

/// Waits for sockets, until a deadline and no longer than until a stop.
class Waiting {
 public:
  Waiting(std::chrono::milliseconds patience, const std::stop_token& stop)
      : deadline_(Clock::now() + patience),
        wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
        on_stop_(stop, Wake{wake_.get()}) {}

  void shorten(std::chrono::milliseconds patience) {
    deadline_ = std::min(deadline_, Clock::now() + patience);
  }

  /// False when the time is over or the stop came first.
  [[nodiscard]] bool wait_for(int socket, short events) const {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline_ - Clock::now());
    std::array<pollfd, 2> polled{pollfd{socket, events, 0}, pollfd{wake_.get(), POLLIN, 0}};
    return left.count() > 0 &&
           ::poll(polled.data(), polled.size(), static_cast<int>(left.count())) > 0 &&
           polled[1].revents == 0;
  }

 private:
  struct Wake {
    int fd;
    void operator()() const noexcept { static_cast<void>(::eventfd_write(fd, 1)); }
  };

  Clock::time_point deadline_;
  Fd wake_;
  std::stop_callback<Wake> on_stop_;
};

using Addresses = Handle<addrinfo, &::freeaddrinfo>;

std::variant<Addresses, ConnectFault> look_up(const ProbeTarget& target) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const std::string host = target.address.empty() ? bare_host(target.host) : target.address;
  const int code = ::getaddrinfo(host.c_str(), std::to_string(target.port).c_str(), &hints, &found);
  if (code != 0) {
    return ConnectFault::passing(fmt::format(
        "the name {} cannot be resolved ({}): is {} right, and the name server there?", target.host,
        code == EAI_SYSTEM ? text_of(errno) : ::gai_strerror(code), target.address_setting));
  }
  return Addresses(found);
}

/// The first address that answers, or why the last one did not.
std::variant<Fd, ConnectFault> connect(const ProbeTarget& target, const addrinfo* addresses,
                                       const Waiting& waiting) {
  int error = 0;
  for (const addrinfo* each = addresses; each != nullptr; each = each->ai_next) {
    Fd socket(::socket(each->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!socket) {
      error = errno;
      continue;
    }
    if (::connect(socket.get(), each->ai_addr, each->ai_addrlen) == 0) {
      return socket;
    }
    error = errno;
    if (error == EINPROGRESS) {
      error = ETIMEDOUT;
      socklen_t size = sizeof error;
      if (waiting.wait_for(socket.get(), POLLOUT)) {
        ::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &size);
      }
      if (error == 0) {
        return socket;
      }
    }
  }
  return ConnectFault::passing(
      fmt::format("{}:{} cannot be reached: {}", target.host, target.port, text_of(error)));
}

/// A handshake with the peer, and what it ended with.
class Handshake {
 public:
  Handshake(const ProbeTarget& target, int socket)
      : options_(*target.tls),
        name_(options_.server_name.empty() ? bare_host(target.host) : options_.server_name),
        port_(target.port),
        socket_(socket),
        context_(SSL_CTX_new(TLS_client_method())) {}

  /// Nothing when it succeeds.
  [[nodiscard]] std::optional<ConnectFault> run(Waiting& waiting) {
    if (context_ == nullptr) {
      return ConnectFault::lasting("TLS cannot be set up: " + openssl::take_error());
    }
    if (std::string fault = equip_once(options_, context_.get()); !fault.empty()) {
      return ConnectFault::lasting(std::move(fault));
    }
    session_.reset(SSL_new(context_.get()));
    if (session_ == nullptr || !prepare()) {
      return ConnectFault::lasting("TLS cannot be set up: " + openssl::take_error());
    }
    auto fault = drive(waiting, [this] { return SSL_connect(session_.get()); });
    if (timed_out_) {
      return ConnectFault::passing(
          fmt::format("no answer to the TLS handshake on port {}: {}", port_, kNotTls));
    }
    if (fault) {
      return fault;
    }
    is_established_ = true;
    waiting.shorten(kSecondThoughts);  // a peer that is content says nothing
    return drive(waiting, [this] {
      char byte = 0;
      return SSL_peek(session_.get(), &byte, 1);
    });
  }

 private:
  [[nodiscard]] bool prepare() {
    SSL* const session = session_.get();
    ERR_clear_error();
    SSL_set_app_data(session, this);
    SSL_set_verify(session, SSL_VERIFY_PEER, &Handshake::verify);
    return SSL_set_fd(session, socket_) == 1 && require_peer_name(session, name_);
  }

  /// Remembers the first certificate that is not believed, and why.
  static int verify(int is_good, X509_STORE_CTX* chain) {
    auto* const session =
        static_cast<SSL*>(X509_STORE_CTX_get_ex_data(chain, SSL_get_ex_data_X509_STORE_CTX_idx()));
    auto& self = *static_cast<Handshake*>(SSL_get_app_data(session));
    if (is_good != 1 && self.verify_fault_.empty()) {
      self.verify_fault_ =
          describe_verify_fault(X509_STORE_CTX_get_error(chain),
                                X509_STORE_CTX_get_current_cert(chain), self.name_, self.options_);
    }
    return is_good;
  }

  template <class Step>
  [[nodiscard]] std::optional<ConnectFault> drive(const Waiting& waiting, Step step) {
    while (true) {
      ERR_clear_error();
      errno = 0;
      const int result = step();
      const int error = errno;
      switch (SSL_get_error(session_.get(), result)) {
        case SSL_ERROR_NONE:
        case SSL_ERROR_ZERO_RETURN:
          return {};
        case SSL_ERROR_WANT_READ:
          timed_out_ = !waiting.wait_for(socket_, POLLIN);
          break;
        case SSL_ERROR_WANT_WRITE:
          timed_out_ = !waiting.wait_for(socket_, POLLOUT);
          break;
        case SSL_ERROR_SYSCALL:
          if (is_established_) {
            return {};
          }
          return ConnectFault::passing(
              fmt::format("the connection to port {} was cut in the TLS handshake{}: {}", port_,
                          error != 0 ? " (" + text_of(error) + ")" : "", kNotTls));
        default:
          return failure();
      }
      if (timed_out_) {
        return {};
      }
    }
  }

  [[nodiscard]] std::optional<ConnectFault> failure() const {
    const int reason = ERR_GET_REASON(ERR_peek_error());
    const std::string text = openssl::take_error();
    if (is_beyond_handshake_limit(session_.get())) {
      return ConnectFault::lasting(
          fmt::format("what answers on port {} sends messages of TLS without end", port_));
    }
    if (is_established_ && reason < SSL_AD_REASON_OFFSET) {
      return {};  // it hangs up, without an alert
    }
    switch (reason) {
      case SSL_R_CERTIFICATE_VERIFY_FAILED:
        return ConnectFault::lasting(verify_fault_.empty() ? text : verify_fault_);
      case SSL_R_WRONG_VERSION_NUMBER:
      case SSL_R_HTTP_REQUEST:
      case SSL_R_PACKET_LENGTH_TOO_LONG:
      case SSL_R_UNEXPECTED_EOF_WHILE_READING:
        return ConnectFault::lasting(
            fmt::format("what answers on port {} speaks no TLS ({}): {}", port_, text, kNotTls));
      case SSL_R_UNSUPPORTED_PROTOCOL:
      case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
        return ConnectFault::lasting(
            fmt::format("no TLS version in common ({}): here it is at least {} (TLS_MIN_VERSION)",
                        text, options_.min_version == TlsVersion::v1_3 ? "1.3" : "1.2"));
      default:
        return ConnectFault::lasting(refused_us(reason, text));
    }
  }

  /// Alerts about us (RFC 8446, section 6.2).
  [[nodiscard]] std::string refused_us(int reason, const std::string& text) const {
    const bool has_certificate = !options_.certificate_file.empty();
    switch (reason) {
      case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
      case SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE:
        if (!has_certificate) {
          return fmt::format(
              "the other side wants a certificate of ours ({}): {}_CERT_FILE and {}_KEY_FILE", text,
              options_.settings, options_.settings);
        }
        break;
      case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
      case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
      case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
      case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
      case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
      case SSL_R_TLSV1_ALERT_ACCESS_DENIED:
      case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
        return fmt::format("the other side does not accept our certificate ({}): see {}_CERT_FILE",
                           text, options_.settings);
      default:
        break;
    }
    return "the TLS handshake fails: " + text;
  }

  static constexpr const char* kNotTls = "is it the port for TLS?";

  const TlsOptions& options_;
  const std::string name_;  // that the certificate has to be for
  const std::uint16_t port_;
  const int socket_;
  bool timed_out_ = false;
  bool is_established_ = false;
  std::string verify_fault_;
  openssl::Context context_;
  openssl::Session session_;
};

/// Whether a handshake failed by what only a peer with TLS sends: an alert, or another version.
bool is_failure_of_tls(int reason) {
  return reason >= SSL_AD_REASON_OFFSET || reason == SSL_R_UNSUPPORTED_PROTOCOL;
}

}  // namespace

std::optional<ConnectFault> find_connect_fault(const ProbeTarget& target,
                                               std::chrono::milliseconds patience,
                                               const std::stop_token& stop) {
  auto found = look_up(target);
  if (auto* const fault = std::get_if<ConnectFault>(&found)) {
    return std::move(*fault);
  }
  Waiting waiting(patience, stop);
  auto connected = connect(target, std::get<Addresses>(found).get(), waiting);
  if (auto* const fault = std::get_if<ConnectFault>(&connected)) {
    return std::move(*fault);
  }
  if (target.tls == nullptr) {
    return std::nullopt;
  }
  return Handshake(target, std::get<Fd>(connected).get()).run(waiting);
}

bool speaks_tls(const ProbeTarget& target, std::chrono::milliseconds patience,
                const std::stop_token& stop) {
  const auto found = look_up(target);
  if (std::holds_alternative<ConnectFault>(found)) {
    return false;
  }
  const Waiting waiting(patience, stop);
  const auto connected = connect(target, std::get<Addresses>(found).get(), waiting);
  if (std::holds_alternative<ConnectFault>(connected)) {
    return false;
  }
  const int socket = std::get<Fd>(connected).get();
  const openssl::Context context(SSL_CTX_new(TLS_client_method()));
  const openssl::Session session(context != nullptr ? SSL_new(context.get()) : nullptr);
  if (session == nullptr || SSL_set_fd(session.get(), socket) != 1) {
    return false;
  }
  SSL_set_verify(session.get(), SSL_VERIFY_NONE, nullptr);
  limit_handshake(session.get());
  while (true) {
    ERR_clear_error();
    const int result = SSL_connect(session.get());
    switch (SSL_get_error(session.get(), result)) {
      case SSL_ERROR_NONE:
        return true;
      case SSL_ERROR_WANT_READ:
        if (!waiting.wait_for(socket, POLLIN)) {
          return false;
        }
        break;
      case SSL_ERROR_WANT_WRITE:
        if (!waiting.wait_for(socket, POLLOUT)) {
          return false;
        }
        break;
      case SSL_ERROR_SSL:
        return is_failure_of_tls(ERR_GET_REASON(ERR_peek_error()));
      default:
        return false;
    }
  }
}

}  // namespace m2b
