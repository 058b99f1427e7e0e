#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "m2b/object/object.hpp"
#include "m2b/spool/message.hpp"

namespace m2b {

/// A picture that the bucket has, without its bytes.
struct PictureInfo {
  std::uint64_t number = 0;  // of its showing; never given twice in the life of a process
  std::string key = {};
  std::string topic = {};  // as it stands in the object's metadata
  std::string_view content_type = {};
  std::size_t bytes = 0;
  WallTime stored_at = {};
};

/// The last pictures that were uploaded, for the status page: a few, in memory, and never more than
/// so many bytes. Offering one costs the uploader a look at the clock, and a copy once a second.
class LastPictures {
 public:
  static constexpr std::size_t kMaxCount = 6;
  static constexpr std::size_t kMaxBytes = std::size_t{3} << 20;         // of all together
  static constexpr std::size_t kMaxPictureBytes = std::size_t{1} << 20;  // larger ones are not kept
  static constexpr std::chrono::milliseconds kPause{1000};  // between two that are kept

  explicit LastPictures(std::chrono::milliseconds pause = kPause) : pause_(pause) {}

  /// Uploader threads. Never waits: what comes while another is being kept is not kept.
  void offer(const Object& object) noexcept;

  /// The newest first.
  [[nodiscard]] std::vector<PictureInfo> list() const;

  struct Picture {
    std::shared_ptr<const std::string> bytes;
    std::string_view content_type;
  };
  /// Nothing when it has made room for others.
  [[nodiscard]] std::optional<Picture> read(std::uint64_t number) const;

 private:
  using Clock = std::chrono::steady_clock;
  struct Kept {
    PictureInfo info;
    std::shared_ptr<const std::string> bytes;
  };

  void keep(const Object& object);

  const Clock::duration pause_;
  std::atomic<Clock::rep> next_at_{Clock::time_point::min().time_since_epoch().count()};
  mutable std::mutex mutex_;  // guards the fields below
  std::deque<Kept> kept_;     // the newest first
  std::size_t bytes_ = 0;
  std::uint64_t next_number_ = 1;
};

}  // namespace m2b
