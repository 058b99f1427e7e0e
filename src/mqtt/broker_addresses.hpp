#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace m2b {

/// What a name look-up found.
struct LookedUp {
  std::vector<std::string> addresses = {};  // numeric, in the system's order (RFC 6724)
  std::string failure = {};                 // why there are none
};

/// The addresses of a host, at most 16 and each once; of an IP address itself. Blocks for as long
/// as the C library does. IPv6 without brackets.
[[nodiscard]] LookedUp look_up_addresses(const std::string& host);

/// Which address of the broker's name the next attempt to connect calls. A round tries each address
/// once, the one that answered last first, and then the name is looked up again: a broker that has
/// moved is found, and a dead address in front of a good one costs one attempt.
///
/// Not thread-safe.
class BrokerAddresses {
 public:
  using LookUp = std::function<LookedUp(const std::string& host)>;

  explicit BrokerAddresses(std::string host, LookUp look_up = &look_up_addresses)
      : host_(std::move(host)), look_up_(std::move(look_up)) {}

  /// For the next attempt; the same again until failed() or answered(). Looks the name up where a
  /// round begins. Nothing if it cannot be looked up; see failure().
  [[nodiscard]] std::optional<std::string> next();

  /// Why next() gave nothing.
  [[nodiscard]] const std::string& failure() const noexcept { return failure_; }

  /// The attempt failed, for that reason. Whether another address is left in this round.
  bool failed(const std::string& reason);

  /// Somebody answered at that address, whatever the answer was: the next round begins with it.
  void answered();

  /// Whether the name has several addresses.
  [[nodiscard]] bool has_several() const noexcept { return addresses_.size() > 1; }

  /// The failures of this round, `192.0.2.1: REASON; 192.0.2.2: REASON`.
  [[nodiscard]] std::string failures() const;

 private:
  const std::string host_;
  const LookUp look_up_;
  std::vector<std::string> addresses_;  // of this round
  std::size_t next_ = 0;
  std::vector<std::string> failures_;
  std::string answered_;  // the address; empty: none yet
  std::string failure_;
};

}  // namespace m2b
