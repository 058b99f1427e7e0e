#pragma once

#include <fcntl.h>

#include <cerrno>
#include <filesystem>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <utility>

#include "m2b/util/fd.hpp"
#include "spool/lmdb.hpp"
#include "spool/mending.hpp"

namespace m2b {

/// An LMDB environment that is looked at and mended before it is opened, and can be opened again
/// while others use it. `Databases(txn, folder)` finds its databases, and makes them the first
/// time. Reading from any thread; one writer at a time. Throws lmdb::Error, and what mend() throws.
template <class Databases>
class MendedEnv {
  struct Opened {
    lmdb::EnvHandle env;
    Databases databases;
  };

 public:
  explicit MendedEnv(MendingPlan plan)
      : plan_(std::move(plan)), opened_(open(lmdb::File::Scrutiny::trees, file_)) {}

  /// A transaction; while one lives, nobody opens the environment again.
  class Access {
   public:
    [[nodiscard]] const lmdb::Txn& txn() const noexcept { return txn_; }
    [[nodiscard]] const Databases& operator*() const noexcept { return databases_; }
    [[nodiscard]] const Databases* operator->() const noexcept { return &databases_; }
    void commit() && { std::move(txn_).commit(); }

   private:
    friend MendedEnv;
    Access(std::shared_lock<std::shared_mutex> lock, const Databases& databases, lmdb::Txn txn)
        : lock_(std::move(lock)), databases_(databases), txn_(std::move(txn)) {}

    std::shared_lock<std::shared_mutex> lock_;
    const Databases& databases_;
    lmdb::Txn txn_;
  };

  [[nodiscard]] Access read() const { return access(&lmdb::Txn::read); }
  [[nodiscard]] Access write() { return access(&lmdb::Txn::write); }

  /// False after a reopen() that failed.
  [[nodiscard]] bool is_open() const {
    const std::shared_lock lock(mutex_);
    return opened_.has_value();
  }

  /// Closes the environment, looks at it closely, mends it if it is damaged, and opens it again:
  /// after a failed write of the meta page LMDB refuses everything until then. Waits for readers.
  void reopen() {
    const std::unique_lock lock(mutex_);
    if (!lmdb::is_in_place(file_, place())) {
      throw lmdb::Error("data.mdb at its place", ENOENT);  // put_back() is for that
    }
    opened_.reset();  // LMDB must not have one file open twice in a process
    closed_by_ = EIO;
    try {
      opened_.emplace(open(lmdb::File::Scrutiny::values, file_));
    } catch (const lmdb::Error& error) {
      closed_by_ = error.code();
      throw;
    }
  }

  /// False once the file was removed or replaced under us.
  [[nodiscard]] bool is_in_place() const {
    const std::shared_lock lock(mutex_);
    return lmdb::is_in_place(file_, place());
  }

  /// Writes it again at its place, from the file that is still open. That one is given up only once
  /// the environment is open in the new file: until then whoever removed it may do so again.
  void put_back() {
    const std::unique_lock lock(mutex_);
    if (!lmdb::is_in_place(file_, place())) {
      Fd copy = write_again(file_, plan_.folder);
      Opened fresh = open(lmdb::File::Scrutiny::trees, copy);
      opened_.reset();
      opened_.emplace(std::move(fresh));
      file_ = std::move(copy);
    }
  }

 private:
  [[nodiscard]] std::filesystem::path place() const { return plan_.folder / "data.mdb"; }

  /// Opens `file` at its place, or what it was mended to and `file` is from then on; none: whatever
  /// is there. If it was removed meanwhile, LMDB makes an empty one, in which nobody would miss
  /// anything: that is an error.
  [[nodiscard]] Opened open(lmdb::File::Scrutiny scrutiny, Fd& file) const {
    const auto kept_at = mend(plan_, scrutiny);
    if (kept_at && file && lmdb::is_in_place(file, *kept_at / "data.mdb")) {
      if (Fd mended = private_files::open_file(place(), O_RDONLY)) {
        file = std::move(mended);
      }
    }
    lmdb::EnvHandle env = lmdb::open_env(plan_.folder, plan_.map_bytes);
    Fd opened = lmdb::file_of(env.get());
    if (!file) {
      file = std::move(opened);
    } else if (!lmdb::is_same_file(file, opened)) {
      throw lmdb::Error("data.mdb at its place", ENOENT);
    }
    lmdb::Txn txn = lmdb::Txn::write(env.get());
    Databases databases(txn, plan_.folder);
    std::move(txn).commit();
    mark_made(plan_.folder);
    return {std::move(env), std::move(databases)};
  }

  [[nodiscard]] Access access(lmdb::Txn (*begin)(MDB_env*)) const {
    std::shared_lock lock(mutex_);
    if (!opened_) {
      throw lmdb::Error("environment", closed_by_);  // a failed reopen() has left none
    }
    return Access(std::move(lock), opened_->databases, begin(opened_->env.get()));
  }

  const MendingPlan plan_;
  mutable std::shared_mutex mutex_;  // guards the fields below: exclusive only to open again
  int closed_by_ = EIO;              // where it is not open
  /// The data file that was opened last. As long as it is held, what is in it can be had, whatever
  /// happens at its place.
  Fd file_;
  std::optional<Opened> opened_;
};

}  // namespace m2b
