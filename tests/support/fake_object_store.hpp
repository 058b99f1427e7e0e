#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "m2b/upload/object_store.hpp"

namespace m2b::test {

/// The bucket behind all FakeObjectStores of a test: keeps what was put, and answers as the test
/// wants. Thread-safe; its rules are set while nothing runs or by set_answer().
class FakeBucket {
 public:
  using Answer = std::function<PutResult(const Object&)>;

  [[nodiscard]] static PutResult stored() { return stored_result(); }
  [[nodiscard]] static PutResult away() { return refusal(Scope::store, 503, "SlowDown"); }

  /// What put() answers from now on; called without a lock, so it may wait.
  void set_answer(Answer answer) {
    const std::lock_guard lock(mutex_);
    answer_ = std::move(answer);
  }

  PutResult put(const Object& object) {
    Answer answer;
    {
      const std::lock_guard lock(mutex_);
      answer = answer_;
      ++attempts_;
      parallel_ += running_.contains(object.key.str()) ? 1 : 0;
      running_.insert(object.key.str());
      most_at_once_ = std::max(most_at_once_, running_.size());
    }
    PutResult result = answer(object);
    const std::lock_guard lock(mutex_);
    running_.erase(running_.find(object.key.str()));
    if (result.outcome == PutOutcome::stored) {
      objects_[object.key.str()] = object.body;
      history_[object.key.str()].push_back(object.body);
    }
    return result;
  }

  /// From now on batches are taken, and answered so. Those that are stored have their objects put
  /// one by one, whatever put() would have answered.
  void take_batches(std::function<PutResult(std::size_t objects)> answer) {
    const std::lock_guard lock(mutex_);
    answer_to_batch_ = std::move(answer);
  }
  [[nodiscard]] bool takes_batches() const {
    const std::lock_guard lock(mutex_);
    return static_cast<bool>(answer_to_batch_);
  }
  PutResult put_batch(std::span<const Object* const> batch) {
    const std::lock_guard lock(mutex_);
    PutResult result = answer_to_batch_(batch.size());
    for (const Object* object : batch) {
      if (result.outcome == PutOutcome::stored) {
        objects_[object->key.str()] = object->body;
        history_[object->key.str()].push_back(object->body);
      }
    }
    return result;
  }

  [[nodiscard]] std::map<std::string, std::string> objects() const {
    const std::lock_guard lock(mutex_);
    return objects_;
  }
  /// Every body that was stored under a key, in order.
  [[nodiscard]] std::vector<std::string> history(const std::string& key) {
    const std::lock_guard lock(mutex_);
    return history_[key];
  }
  [[nodiscard]] int attempts() const {
    const std::lock_guard lock(mutex_);
    return attempts_;
  }
  /// How often a put of a key began while another of the same key ran.
  [[nodiscard]] int parallel_same_key() const {
    const std::lock_guard lock(mutex_);
    return parallel_;
  }
  /// The most puts that ran at a time since the last call.
  [[nodiscard]] std::size_t take_most_at_once() {
    const std::lock_guard lock(mutex_);
    return std::exchange(most_at_once_, running_.size());
  }

 private:
  mutable std::mutex mutex_;  // guards the fields below
  Answer answer_ = [](const Object&) { return stored(); };
  std::function<PutResult(std::size_t objects)> answer_to_batch_;
  std::map<std::string, std::string> objects_;
  std::map<std::string, std::vector<std::string>> history_;
  std::multiset<std::string> running_;
  int attempts_ = 0;
  int parallel_ = 0;
  std::size_t most_at_once_ = 0;
};

class FakeObjectStore final : public ObjectStore {
 public:
  explicit FakeObjectStore(FakeBucket& bucket) : bucket_(bucket) {}

  [[nodiscard]] PutResult put(const Object& object, std::stop_token) override {
    return bucket_.put(object);
  }
  [[nodiscard]] PutResult ensure_bucket(std::stop_token) override { return FakeBucket::stored(); }
  [[nodiscard]] bool takes_batches() const override { return bucket_.takes_batches(); }
  [[nodiscard]] bool fits_batch(const Object& object) const override {
    return object.body.size() < 100;
  }
  [[nodiscard]] PutResult put_batch(std::span<const Object* const> objects,
                                    std::stop_token) override {
    return bucket_.put_batch(objects);
  }

 private:
  FakeBucket& bucket_;
};

}  // namespace m2b::test
