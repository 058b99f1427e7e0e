#include "m2b/status/last_pictures.hpp"

#include <algorithm>
#include <array>
#include <new>
#include <utility>

namespace m2b {
namespace {

/// What every browser shows. No SVG: it may hold scripts.
constexpr std::array<std::string_view, 5> kShown{"image/jpeg", "image/png", "image/gif",
                                                 "image/bmp", "image/webp"};

std::string topic_of(const Object& object) {
  const auto found = std::ranges::find(object.metadata, "mqtt_topic",
                                       [](const auto& entry) { return entry.first; });
  return found != object.metadata.end() ? found->second : std::string();
}

}  // namespace

void LastPictures::offer(const Object& object) noexcept {
  const Clock::time_point now = Clock::now();
  if (now.time_since_epoch().count() < next_at_.load(std::memory_order_relaxed) ||
      object.body.size() > kMaxPictureBytes ||
      std::ranges::find(kShown, object.content_type) == kShown.end()) {
    return;
  }
  const std::unique_lock lock(mutex_, std::try_to_lock);
  if (!lock) {
    return;
  }
  next_at_.store((now + pause_).time_since_epoch().count(), std::memory_order_relaxed);
  try {
    keep(object);
  } catch (const std::bad_alloc&) {
    // Then it is not shown.
  }
}

void LastPictures::keep(const Object& object) {
  Kept kept{{.number = next_number_,
             .key = object.key.str(),
             .topic = topic_of(object),
             .content_type = object.content_type,
             .bytes = object.body.size(),
             .stored_at = wall_now()},
            std::make_shared<const std::string>(object.body)};
  ++next_number_;
  bytes_ += object.body.size();
  kept_.push_front(std::move(kept));
  while (kept_.size() > kMaxCount || bytes_ > kMaxBytes) {
    bytes_ -= kept_.back().info.bytes;
    kept_.pop_back();
  }
}

std::vector<PictureInfo> LastPictures::list() const {
  const std::lock_guard lock(mutex_);
  std::vector<PictureInfo> infos;
  infos.reserve(kept_.size());
  for (const Kept& kept : kept_) {
    infos.push_back(kept.info);
  }
  return infos;
}

std::optional<LastPictures::Picture> LastPictures::read(std::uint64_t number) const {
  const std::lock_guard lock(mutex_);
  const auto found =
      std::ranges::find(kept_, number, [](const Kept& kept) { return kept.info.number; });
  return found != kept_.end() ? std::optional(Picture{found->bytes, found->info.content_type})
                              : std::nullopt;
}

}  // namespace m2b
