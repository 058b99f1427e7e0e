#include "mqtt/broker_addresses.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>

#include "m2b/util/handle.hpp"

namespace m2b {
namespace {

/// A name server may answer with any number.
constexpr std::size_t kMaxAddresses = 16;

using FoundAddresses = Handle<addrinfo, &::freeaddrinfo>;

}  // namespace

LookedUp look_up_addresses(const std::string& host) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_ADDRCONFIG;
  addrinfo* first = nullptr;
  int code = ::getaddrinfo(host.c_str(), nullptr, &hints, &first);
  if (code == EAI_NONAME || code == EAI_ADDRFAMILY || code == EAI_NODATA) {
    // The loopback is no configured address, where it is all that there is.
    hints.ai_flags = 0;
    code = ::getaddrinfo(host.c_str(), nullptr, &hints, &first);
  }
  if (code != 0) {
    return {.failure = code == EAI_SYSTEM ? std::generic_category().message(errno)
                                          : std::string(::gai_strerror(code))};
  }
  const FoundAddresses found(first);
  LookedUp result;
  for (const addrinfo* each = found.get(); each != nullptr; each = each->ai_next) {
    std::array<char, NI_MAXHOST> text{};
    if (::getnameinfo(each->ai_addr, each->ai_addrlen, text.data(), text.size(), nullptr, 0,
                      NI_NUMERICHOST) == 0 &&
        std::ranges::find(result.addresses, text.data()) == result.addresses.end() &&
        result.addresses.size() < kMaxAddresses) {
      result.addresses.emplace_back(text.data());
    }
  }
  if (result.addresses.empty()) {
    result.failure = "no address";
  }
  return result;
}

std::optional<std::string> BrokerAddresses::next() {
  if (next_ >= addresses_.size()) {
    next_ = 0;
    failures_.clear();
    LookedUp found = look_up_(host_);
    addresses_ = std::move(found.addresses);
    failure_ = std::move(found.failure);
    const auto last = std::ranges::find(addresses_, answered_);
    if (last != addresses_.end()) {
      std::rotate(addresses_.begin(), last, last + 1);
    }
  }
  return addresses_.empty() ? std::nullopt : std::optional(addresses_[next_]);
}

bool BrokerAddresses::failed(const std::string& reason) {
  if (next_ < addresses_.size()) {
    failures_.push_back(fmt::format("{}: {}", addresses_[next_], reason));
    ++next_;
  }
  return next_ < addresses_.size();
}

void BrokerAddresses::answered() {
  if (next_ < addresses_.size()) {
    answered_ = addresses_[next_];
  }
  next_ = addresses_.size();
}

std::string BrokerAddresses::failures() const {
  return fmt::format("{}", fmt::join(failures_, "; "));
}

}  // namespace m2b
