#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "m2b/upload/put_outcome.hpp"
#include "m2b/util/backoff.hpp"
#include "pipeline/delivery.hpp"
#include "pipeline/retry_policy.hpp"

namespace m2b {

/// The circuit breakers before the store: one for everything, and one for each group of deliveries
/// that was refused lately: a prefix of keys, or a class of sizes. They keep what was stored and
/// refused per group, which is the evidence for retry_policy; they are opened by its decision, and
/// closed by a delivery of the group that is stored. While one is open, one delivery at a time
/// probes it, after growing pauses. Knows no time but what it is told. Not thread-safe.
class CircuitBreakers {
 public:
  using Time = std::chrono::steady_clock::time_point;
  /// Sizes below 2^kLeastSizeBits are one class: what limits sizes does not tell so small ones
  /// apart.
  static constexpr std::size_t kLeastSizeBits = 16;

  /// Names a group: kEverything, `/PREFIX` for keys, `#BITS` for sizes below 2^BITS.
  using Group = std::string;
  static constexpr std::string_view kEverything = "*";

  /// Groups that are remembered; those refused longest ago are forgotten, unless they are open.
  static constexpr std::size_t kMaxGroups = 1024;
  /// Groups whose breakers may be open at a time. Deliveries of further ones come round one by one.
  static constexpr std::size_t kMaxOpenGroups = 256;

  explicit CircuitBreakers(BackoffPolicy probes,
                           std::random_device::result_type seed = std::random_device{}());

  /// All groups that an object may belong to, from the widest to the narrowest: everything, its
  /// size class, and the prefixes of its key.
  [[nodiscard]] static std::vector<Group> all_groups_of(std::string_view key, std::size_t bytes);
  /// Those that it does belong to: of a size class of which some were refused, those that are not
  /// smaller.
  [[nodiscard]] std::vector<Group> groups_of(std::string_view key, std::size_t bytes) const;

  /// Of a class of sizes, those below 2^bits and not below 2^(bits - 1), except the smallest class;
  /// 0 for any other group.
  [[nodiscard]] static unsigned size_bits_of(std::string_view group);

  /// Objects that were stored so far.
  [[nodiscard]] std::uint64_t stored_count() const noexcept { return stored_; }

  /// An object was stored: its groups' breakers close. Returns those that were open.
  [[nodiscard]] std::vector<Group> stored(std::string_view key, std::size_t bytes, Time now);

  /// The store answered in another way that shows that it takes objects; closes the breaker for
  /// everything. Returns whether it was open.
  bool answered() noexcept;

  /// A delivery was refused: counts it for all its groups that are narrower than any open one,
  /// unless the same one was counted before or it was never sent. To be followed by evidence() and
  /// open(), with its groups_of() as they are then.
  void refused(const std::vector<Group>& all_groups, std::size_t bytes, const Delivery& delivery,
               const PutResult& result, Time now);

  /// What speaks for or against each of the groups.
  [[nodiscard]] Evidence evidence(const std::vector<Group>& groups, const Delivery& delivery,
                                  Time now) const;

  /// Opens the breaker of a group, or keeps it open after a probe that failed. `wait`: the shortest
  /// time until the next probe, as the server asked for. Returns whether it opened: not if it was
  /// open, or if too many others are.
  bool open(std::string_view group, const PutResult& cause, std::chrono::seconds wait, Time now);

  [[nodiscard]] bool is_open(std::string_view group) const;
  /// Nothing may be sent but probes.
  [[nodiscard]] bool all_open() const noexcept { return everything_.is_open; }
  /// The breaker of at least one group other than everything is.
  [[nodiscard]] bool has_open_groups() const noexcept { return open_groups_ > 0; }
  /// The narrowest of the groups, other than everything, whose breaker is open.
  [[nodiscard]] std::optional<Group> narrowest_open(const std::vector<Group>& groups) const;
  /// How many of the groups have an open breaker.
  [[nodiscard]] std::size_t count_open(const std::vector<Group>& groups) const;

  /// Nothing was stored since the last refusal: the store may be taking nothing at all.
  [[nodiscard]] bool is_in_doubt() const noexcept { return everything_.refused_in_row > 0; }

  /// Whether the group's breaker may be probed now. Of kEverything also while it is in doubt.
  [[nodiscard]] bool may_probe(std::string_view group, Time now) const;
  /// When that is so at the earliest; nothing while a probe is under way or the breaker is closed.
  [[nodiscard]] std::optional<Time> probe_at(std::string_view group) const;
  /// A delivery of that many open groups was refused, the given one among them.
  void note_rank(std::string_view group, std::size_t open_groups);
  /// Another one of that many waits for the group. If all that were refused since it opened are of
  /// more, it tells more than they did: its probe need not wait for long. Returns whether that is
  /// so.
  bool hurry_probe(std::string_view group, std::size_t open_groups);
  [[nodiscard]] bool tells_more(std::string_view group, std::size_t open_groups) const;
  void begin_probe(std::string_view group, SpoolId id);
  /// The probe of that id ended; what it told was told before. It may have come to nothing.
  void end_probe(SpoolId id) noexcept;

  /// What is known of one open breaker.
  struct Open {
    Group group;
    PutResult cause;
    Time since;
    bool is_probing = false;
  };
  [[nodiscard]] std::vector<Open> all_that_are_open() const;  // but the one for everything
  /// Of a breaker that is open, or was lately.
  [[nodiscard]] Open describe(std::string_view group) const;
  [[nodiscard]] std::optional<Open> everything() const;
  /// Opened by an ambiguous refusal: only other deliveries can tell what it is about.
  [[nodiscard]] bool seeks_evidence() const noexcept {
    return everything_.is_open && everything_.cause.scope == Scope::ambiguous;
  }

  /// As InFlight::state().
  [[nodiscard]] std::string state() const;

 private:
  struct Breaker {
    bool is_open = false;
    unsigned refused_in_row = 0;    // different ones, with none of the group stored in between
    std::uint64_t stored_mark = 0;  // stored_ at the last object of the group that was stored
    Time stored_at{};
    Time refused_at{};
    Time open_since{};
    Time paused_at{};
    Time probe_at{};
    std::uint32_t probes = 0;  // that failed in a row
    /// The fewest open groups of a delivery that was refused since this one opened; 0: none was.
    std::size_t least_rank = 0;
    std::size_t least_refused_bytes = 0;  // of a size class; 0: none was refused
    std::optional<SpoolId> probing;
    PutResult cause;
  };

  [[nodiscard]] const Breaker* find(std::string_view group) const;
  [[nodiscard]] Breaker& breaker_of(std::string_view group);
  [[nodiscard]] std::chrono::milliseconds pause(std::uint32_t failures);
  void forget_oldest();
  bool close(Breaker& breaker, Time now) noexcept;

  const BackoffPolicy probes_;
  std::minstd_rand random_;
  std::uint64_t stored_ = 0;
  Breaker everything_;
  std::size_t open_groups_ = 0;                   // of groups_
  std::map<Group, Breaker, std::less<>> groups_;  // the others
};

}  // namespace m2b
