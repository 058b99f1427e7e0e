#include "check/reach.hpp"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string>
#include <system_error>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "m2b/util/fd.hpp"
#include "m2b/util/handle.hpp"
#include "m2b/util/host.hpp"

namespace m2b::check {
namespace {

using AddressList = Handle<addrinfo, &::freeaddrinfo>;

std::string error_text(int error) { return std::generic_category().message(error); }

std::string text_of_address(const addrinfo& found) {
  std::array<char, NI_MAXHOST> host{};
  std::array<char, NI_MAXSERV> port{};
  if (::getnameinfo(found.ai_addr, found.ai_addrlen, host.data(), host.size(), port.data(),
                    port.size(), NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
    return "?";
  }
  const bool is_v6 = found.ai_family == AF_INET6;
  return fmt::format("{}{}{}:{}", is_v6 ? "[" : "", host.data(), is_v6 ? "]" : "", port.data());
}

std::vector<std::string> texts_of(const std::vector<PeerAddress>& addresses) {
  std::vector<std::string> texts;
  texts.reserve(addresses.size());
  for (const PeerAddress& address : addresses) {
    texts.push_back(address.text);
  }
  return texts;
}

/// An attempt to connect: 0 once it succeeded, otherwise why it did not.
struct Attempt {
  Fd socket;
  int error = ETIMEDOUT;
  bool is_open = true;  // nothing is known yet
};

Attempt begin_attempt(const PeerAddress& address) {
  Attempt attempt;
  attempt.socket =
      Fd(::socket(address.address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const bool fails =
      !attempt.socket ||
      ::connect(attempt.socket.get(), reinterpret_cast<const sockaddr*>(&address.address),
                address.length) != 0;
  const int error = fails ? errno : 0;
  if (error != EINPROGRESS) {
    attempt.error = error;
    attempt.is_open = false;
  }
  return attempt;
}

void await_attempts(std::vector<Attempt>& attempts, std::chrono::milliseconds patience) {
  using Clock = std::chrono::steady_clock;
  const auto deadline = Clock::now() + patience;
  while (true) {
    std::vector<pollfd> polled;
    std::vector<Attempt*> open;
    for (Attempt& attempt : attempts) {
      if (attempt.is_open) {
        polled.push_back({attempt.socket.get(), POLLOUT, 0});
        open.push_back(&attempt);
      }
    }
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now());
    if (open.empty() || left.count() <= 0 ||
        ::poll(polled.data(), polled.size(), static_cast<int>(left.count())) <= 0) {
      return;
    }
    for (std::size_t i = 0; i < open.size(); ++i) {
      if (polled[i].revents != 0) {
        socklen_t size = sizeof open[i]->error;
        ::getsockopt(open[i]->socket.get(), SOL_SOCKET, SO_ERROR, &open[i]->error, &size);
        open[i]->is_open = false;
      }
    }
  }
}

std::string remedy_for(const Peer& peer, bool is_refused) {
  const std::string settings = peer.port_setting == peer.host_setting
                                   ? std::string(peer.host_setting)
                                   : fmt::format("{}, {}", peer.host_setting, peer.port_setting);
  return is_refused
             ? fmt::format("Nothing listens there: correct {}, or start the service.", settings)
             : fmt::format(
                   "See whether the other side runs and whether a firewall, the route or a "
                   "VPN stops the packets; check {}.",
                   settings);
}

}  // namespace

Finding look_up(const Peer& peer, std::vector<PeerAddress>& addresses) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const std::string host = bare_host(peer.host);
  const int code = ::getaddrinfo(host.c_str(), std::to_string(peer.port).c_str(), &hints, &found);
  if (code != 0) {
    return failed(fmt::format("the name {} cannot be resolved: {}", host,
                              code == EAI_SYSTEM ? error_text(errno) : ::gai_strerror(code)),
                  fmt::format("Correct {}, or the name server of this machine "
                              "(/etc/resolv.conf), or set an IP address.",
                              peer.host_setting));
  }
  const AddressList list(found);
  for (const addrinfo* each = found; each != nullptr && addresses.size() < kMostAddresses;
       each = each->ai_next) {
    PeerAddress address{.text = text_of_address(*each), .length = each->ai_addrlen};
    std::memcpy(&address.address, each->ai_addr, each->ai_addrlen);
    if (std::ranges::find(addresses, address.text, &PeerAddress::text) == addresses.end()) {
      addresses.push_back(std::move(address));
    }
  }
  return ok(fmt::format("{} is {}", host, fmt::join(texts_of(addresses), ", ")));
}

Finding connect_to_each(const Peer& peer, const std::vector<PeerAddress>& addresses,
                        std::chrono::milliseconds patience) {
  std::vector<Attempt> attempts;
  attempts.reserve(addresses.size());
  for (const PeerAddress& address : addresses) {
    attempts.push_back(begin_attempt(address));
  }
  await_attempts(attempts, patience);
  std::vector<std::string> reached;
  std::vector<std::string> missed;
  bool is_refused = true;
  for (std::size_t i = 0; i < attempts.size(); ++i) {
    const int error = attempts[i].error;
    if (!attempts[i].is_open && error == 0) {
      reached.push_back(addresses[i].text);
    } else {
      missed.push_back(fmt::format("{}: {}", addresses[i].text, error_text(error)));
      is_refused = is_refused && error == ECONNREFUSED;
    }
  }
  if (missed.empty()) {
    return ok(fmt::format("connected to {}", fmt::join(reached, ", ")));
  }
  if (reached.empty()) {
    return failed(fmt::format("no connection: {}", fmt::join(missed, "; ")),
                  remedy_for(peer, is_refused));
  }
  return warning(fmt::format("connected to {}, but not to {}", fmt::join(reached, ", "),
                             fmt::join(missed, "; ")),
                 fmt::format("Take the addresses that do not answer out of the name {}, or let "
                             "something answer there.",
                             peer.host));
}

}  // namespace m2b::check
