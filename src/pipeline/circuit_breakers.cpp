#include "pipeline/circuit_breakers.hpp"

#include <algorithm>
#include <bit>
#include <utility>

namespace m2b {
namespace {

/// Directories of a key, from the top, that are groups of their own; and the innermost one.
constexpr std::size_t kMaxPrefixes = 4;
constexpr std::chrono::seconds kLately{5};
constexpr std::ptrdiff_t kSizeClass = 1;  // index in all_groups_of()

}  // namespace

CircuitBreakers::CircuitBreakers(BackoffPolicy probes, std::random_device::result_type seed)
    : probes_(probes), random_(seed) {}

std::vector<CircuitBreakers::Group> CircuitBreakers::all_groups_of(std::string_view key,
                                                                   std::size_t bytes) {
  std::vector<Group> groups = {
      Group(kEverything),
      "#" + std::to_string(std::max<std::size_t>(std::bit_width(bytes), kLeastSizeBits))};
  const std::size_t innermost = key.rfind('/');
  std::size_t prefixes = 0;
  for (std::size_t at = key.find('/'); at != std::string_view::npos; at = key.find('/', at + 1)) {
    if (++prefixes <= kMaxPrefixes || at == innermost) {
      groups.push_back("/" + std::string(key.substr(0, at + 1)));
    }
  }
  return groups;
}

std::vector<CircuitBreakers::Group> CircuitBreakers::groups_of(std::string_view key,
                                                               std::size_t bytes) const {
  std::vector<Group> groups = all_groups_of(key, bytes);
  const Breaker* const of_size = find(groups[kSizeClass]);
  if (of_size != nullptr && bytes < of_size->least_refused_bytes) {
    groups.erase(groups.begin() + kSizeClass);
  }
  return groups;
}

unsigned CircuitBreakers::size_bits_of(std::string_view group) {
  return group.starts_with('#') ? static_cast<unsigned>(std::stoul(std::string(group.substr(1))))
                                : 0;
}

std::vector<CircuitBreakers::Group> CircuitBreakers::stored(std::string_view key, std::size_t bytes,
                                                            Time now) {
  std::vector<Group> closed;
  ++stored_;
  if (close(everything_, now)) {
    closed.emplace_back(kEverything);
    // What they were refused for may be over as well.
    for (auto& [group, breaker] : groups_) {
      breaker.probe_at = std::min(breaker.probe_at, now);
    }
  }
  if (groups_.empty()) {
    return closed;  // nothing was refused lately
  }
  for (Group& group : groups_of(key, bytes)) {
    const auto found = groups_.find(group);
    if (found != groups_.end() && close(found->second, now)) {
      --open_groups_;
      closed.push_back(std::move(group));
    }
  }
  return closed;
}

bool CircuitBreakers::answered() noexcept { return std::exchange(everything_.is_open, false); }

bool CircuitBreakers::close(Breaker& breaker, Time now) noexcept {
  breaker.refused_in_row = 0;
  breaker.probes = 0;
  breaker.stored_mark = stored_;
  breaker.stored_at = now;
  breaker.probe_at = {};
  breaker.least_refused_bytes = 0;
  return std::exchange(breaker.is_open, false);
}

void CircuitBreakers::refused(const std::vector<Group>& all_groups, std::size_t bytes,
                              const Delivery& delivery, const PutResult& result, Time now) {
  if (result.is_unsent || result.scope == Scope::object) {
    return;
  }
  everything_.cause = result;
  const bool was_in_doubt = is_in_doubt();
  // An open group explains the refusal: it tells nothing of what is wider.
  const auto explained =
      std::find_if(all_groups.rbegin(), all_groups.rend(), [this, bytes](const Group& group) {
        const Breaker* const breaker = find(group);
        return breaker != nullptr && breaker->is_open && bytes >= breaker->least_refused_bytes;
      });
  // A size class is no part of a prefix: what is refused for its size tells nothing of its
  // prefixes.
  const bool is_of_size = explained != all_groups.rend() && size_bits_of(*explained) != 0;
  const auto told = is_of_size ? all_groups.end() : explained.base();
  for (auto group = told; group != all_groups.end(); ++group) {
    Breaker& breaker = breaker_of(*group);
    breaker.refused_at = now;
    breaker.refused_in_row += delivery.history.refusals == 0 ? 1 : 0;
    if (size_bits_of(*group) != 0) {
      const std::size_t least = breaker.least_refused_bytes;
      breaker.least_refused_bytes = least == 0 ? bytes : std::min(least, bytes);
    }
  }
  if (everything_.is_open || !is_in_doubt()) {
    return;
  }
  if (!was_in_doubt) {
    everything_.open_since = now;
  }
  if (now >= everything_.probe_at) {
    everything_.paused_at = now;
    everything_.probe_at = now + pause(everything_.probes++);
  }
}

Evidence CircuitBreakers::evidence(const std::vector<Group>& groups, const Delivery& delivery,
                                   Time now) const {
  const RefusalHistory& history = delivery.history;
  const std::uint64_t mark = history.refusals == 0 ? delivery.begun_mark : history.stored_mark;
  Evidence evidence;
  evidence.others_stored_meanwhile = stored_ > delivery.begun_mark;
  evidence.others_stored_since = stored_ > mark;
  evidence.peers_stored_since = evidence.others_stored_since;
  for (const Group& group : groups) {
    const Breaker* const breaker = find(group);
    const Breaker known = breaker != nullptr ? *breaker : Breaker{};
    evidence.groups.push_back(
        {.refused_in_row = known.refused_in_row,
         .stored_lately = known.stored_mark > 0 && now - known.stored_at < kLately,
         .is_open = known.is_open});
    if (group != kEverything && known.stored_mark <= mark) {
      evidence.peers_stored_since = false;
    }
  }
  return evidence;
}

bool CircuitBreakers::open(std::string_view group, const PutResult& cause,
                           std::chrono::seconds wait, Time now) {
  Breaker& breaker = breaker_of(group);
  const bool was_open = breaker.is_open;
  if (!was_open) {
    if (&breaker != &everything_ && open_groups_ >= kMaxOpenGroups) {
      return false;
    }
    breaker.is_open = true;
    breaker.least_rank = 0;
    breaker.open_since = now;
    open_groups_ += &breaker != &everything_ ? 1 : 0;
  }
  breaker.cause = cause;
  // What was under way when it opened fails as well; that is no further attempt.
  if (!was_open || now >= breaker.probe_at) {
    breaker.paused_at = now;
    breaker.probe_at = now + std::max<std::chrono::milliseconds>(pause(breaker.probes++), wait);
  }
  return !was_open;
}

bool CircuitBreakers::is_open(std::string_view group) const {
  const Breaker* const breaker = find(group);
  return breaker != nullptr && breaker->is_open;
}

std::optional<CircuitBreakers::Group> CircuitBreakers::narrowest_open(
    const std::vector<Group>& groups) const {
  const auto narrow = std::find_if(groups.rbegin(), groups.rend(), [this](const Group& group) {
    return group != kEverything && is_open(group);
  });
  return narrow == groups.rend() ? std::nullopt : std::optional(*narrow);
}

std::size_t CircuitBreakers::count_open(const std::vector<Group>& groups) const {
  return static_cast<std::size_t>(
      std::ranges::count_if(groups, [this](const Group& group) { return is_open(group); }));
}

bool CircuitBreakers::may_probe(std::string_view group, Time now) const {
  const auto at = probe_at(group);
  return at && *at <= now;
}

std::optional<CircuitBreakers::Time> CircuitBreakers::probe_at(std::string_view group) const {
  const Breaker* const breaker = find(group);
  const bool wants_one =
      breaker != nullptr && (breaker->is_open || (breaker == &everything_ && is_in_doubt()));
  if (!wants_one || breaker->probing) {
    return std::nullopt;
  }
  return breaker->probe_at;
}

void CircuitBreakers::note_rank(std::string_view group, std::size_t open_groups) {
  Breaker& breaker = breaker_of(group);
  const std::size_t least = breaker.least_rank;
  breaker.least_rank = least == 0 ? open_groups : std::min(least, open_groups);
}

bool CircuitBreakers::tells_more(std::string_view group, std::size_t open_groups) const {
  const Breaker* const breaker = find(group);
  return breaker != nullptr && breaker->is_open && open_groups < breaker->least_rank;
}

bool CircuitBreakers::hurry_probe(std::string_view group, std::size_t open_groups) {
  if (!tells_more(group, open_groups)) {
    return false;
  }
  Breaker& breaker = breaker_of(group);
  breaker.least_rank = open_groups;
  breaker.probe_at = std::min(breaker.probe_at, breaker.paused_at + pause(0));
  return true;
}

void CircuitBreakers::begin_probe(std::string_view group, SpoolId id) {
  breaker_of(group).probing = id;
}

void CircuitBreakers::end_probe(SpoolId id) noexcept {
  const auto end = [id](Breaker& breaker) {
    if (breaker.probing == id) {
      breaker.probing.reset();
    }
  };
  end(everything_);
  for (auto& [group, breaker] : groups_) {
    end(breaker);
  }
}

std::vector<CircuitBreakers::Open> CircuitBreakers::all_that_are_open() const {
  std::vector<Open> open;
  for (const auto& [group, breaker] : groups_) {
    if (breaker.is_open) {
      open.push_back({group, breaker.cause, breaker.open_since, breaker.probing.has_value()});
    }
  }
  return open;
}

CircuitBreakers::Open CircuitBreakers::describe(std::string_view group) const {
  const Breaker* const breaker = find(group);
  return breaker == nullptr ? Open{Group(group), {}, {}}
                            : Open{Group(group), breaker->cause, breaker->open_since};
}

std::optional<CircuitBreakers::Open> CircuitBreakers::everything() const {
  if (!everything_.is_open && !is_in_doubt()) {
    return std::nullopt;
  }
  return Open{Group(kEverything), everything_.cause, everything_.open_since};
}

std::string CircuitBreakers::state() const {
  std::string text;
  const auto add = [this, &text](const Group& group, const Breaker& breaker) {
    text +=
        " " + group + (breaker.is_open ? " open" : " ") + std::to_string(breaker.refused_in_row);
    if (breaker.stored_mark > 0) {
      text += "@" + std::to_string(stored_ - breaker.stored_mark);
    }
    if (breaker.is_open) {
      text += "^" + std::to_string(breaker.least_rank);
    }
    if (breaker.least_refused_bytes > 0) {
      text += ">" + std::to_string(breaker.least_refused_bytes);
    }
    if (breaker.probing) {
      text += " probed by " + std::to_string(to_number(*breaker.probing));
    }
  };
  add(Group(kEverything), everything_);
  text += seeks_evidence() ? "?" : "";
  for (const auto& [group, breaker] : groups_) {
    add(group, breaker);
  }
  return text;
}

const CircuitBreakers::Breaker* CircuitBreakers::find(std::string_view group) const {
  if (group == kEverything) {
    return &everything_;
  }
  const auto found = groups_.find(group);
  return found == groups_.end() ? nullptr : &found->second;
}

CircuitBreakers::Breaker& CircuitBreakers::breaker_of(std::string_view group) {
  if (group == kEverything) {
    return everything_;
  }
  if (groups_.size() >= kMaxGroups && !groups_.contains(group)) {
    forget_oldest();
  }
  return groups_[Group(group)];
}

void CircuitBreakers::forget_oldest() {
  auto oldest = groups_.end();
  for (auto each = groups_.begin(); each != groups_.end(); ++each) {
    if (!each->second.is_open &&
        (oldest == groups_.end() || each->second.refused_at < oldest->second.refused_at)) {
      oldest = each;
    }
  }
  if (oldest != groups_.end()) {
    groups_.erase(oldest);
  }
}

/// Full jitter, as Backoff.
std::chrono::milliseconds CircuitBreakers::pause(std::uint32_t failures) {
  const auto most = Backoff::ceiling(probes_, failures).count();
  return std::chrono::milliseconds(
      std::uniform_int_distribution<std::chrono::milliseconds::rep>(0, most)(random_));
}

}  // namespace m2b
