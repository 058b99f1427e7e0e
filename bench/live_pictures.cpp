#include "bench/live_pictures.hpp"

#include <charconv>
#include <stdexcept>

#include <fmt/format.h>

namespace m2b::bench {
namespace {

std::size_t number_of(const std::string& key, std::size_t at) {
  std::size_t number = 0;
  const char* const end = key.data() + key.size();
  if (key.size() < at + kNumberDigits ||
      std::from_chars(key.data() + at, end, number).ptr != key.data() + at + kNumberDigits) {
    throw std::runtime_error(fmt::format("the store has '{}', which nobody sent", key));
  }
  return number;
}

}  // namespace

LivePictures::LivePictures(const PipelineRun& run, const Address& broker, const std::string& topic,
                           std::size_t picture_bytes, const std::string& id_start,
                           const StoreAccess& store, const std::stop_token& stop)
    : id_start_(id_start),
      list_(store),
      latencies_(run.messages),
      publishers_(run, broker, topic, Picture(picture_bytes, id_start), latencies_, stop) {}

void LivePictures::look() {
  // What is before the first that is missing is not asked for again: for a bridge that sends the
  // oldest first that is nearly all of them, for others there are few.
  for (const std::string& key : list_.keys(id_start_, key_before_)) {
    const std::size_t number = number_of(key, id_start_.size());
    if (!behind_.emplace(number, key).second) continue;
    latencies_.stored(number);
    ++stored_;
  }
  for (auto next = behind_.begin(); next != behind_.end() && next->first == first_missing_;
       next = behind_.erase(next)) {
    key_before_ = next->second;
    ++first_missing_;
  }
}

}  // namespace m2b::bench
