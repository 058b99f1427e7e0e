#include "mqtt/server_name.hpp"

#include <utility>

#include "m2b/mqtt/options.hpp"

namespace m2b {

bool can_verify_another_name() noexcept { return paho::ServerName::is_linked(); }

}  // namespace m2b

#ifdef M2B_LATE_ACK  // with Paho's static library, whose calls the linker can redirect

#include <netdb.h>

#include <map>
#include <mutex>

// The linker's --wrap: who is linked statically calls the first, and the second is libc's own.
// NOLINTBEGIN(bugprone-reserved-identifier,readability-identifier-naming)
extern "C" {
int __wrap_getaddrinfo(const char* node, const char* service, const addrinfo* hints,
                       addrinfo** found);
int __real_getaddrinfo(const char* node, const char* service, const addrinfo* hints,
                       addrinfo** found);
}
// NOLINTEND(bugprone-reserved-identifier,readability-identifier-naming)

namespace m2b::paho {
namespace {

/// Real hosts by name. A look-up gives us no context of ours, so this is the process's.
class Hosts {
 public:
  void set(const std::string& name, std::string host) {
    const std::lock_guard lock(mutex_);
    hosts_[name] = std::move(host);
  }
  void remove(const std::string& name) {
    const std::lock_guard lock(mutex_);
    hosts_.erase(name);
  }
  [[nodiscard]] std::string host_of(const std::string& name) const {
    const std::lock_guard lock(mutex_);
    const auto found = hosts_.find(name);
    return found == hosts_.end() ? name : found->second;
  }

 private:
  mutable std::mutex mutex_;
  std::map<std::string, std::string> hosts_;
};

Hosts& hosts() {
  static Hosts instance;
  return instance;
}

}  // namespace

bool ServerName::is_linked() noexcept { return true; }

ServerName::ServerName(std::string name, std::string host) : name_(std::move(name)) {
  hosts().set(name_, std::move(host));
}

ServerName::~ServerName() { hosts().remove(name_); }

}  // namespace m2b::paho

// NOLINTNEXTLINE(bugprone-reserved-identifier,readability-identifier-naming)
int __wrap_getaddrinfo(const char* node, const char* service, const addrinfo* hints,
                       addrinfo** found) {
  if (node == nullptr) {
    return __real_getaddrinfo(node, service, hints, found);
  }
  return __real_getaddrinfo(m2b::paho::hosts().host_of(node).c_str(), service, hints, found);
}

#else

namespace m2b::paho {

bool ServerName::is_linked() noexcept { return false; }
ServerName::ServerName(std::string name, std::string /*host*/) : name_(std::move(name)) {}
ServerName::~ServerName() = default;

}  // namespace m2b::paho

#endif
