#pragma once

#include <cerrno>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <utility>

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
      : plan_(std::move(plan)), opened_(open(lmdb::File::Scrutiny::trees)) {}

  /// A transaction; while one lives, nobody opens the environment again.
  class Access {
   public:
    [[nodiscard]] const lmdb::Txn& txn() const noexcept { return txn_; }
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
    if (opened_ && !lmdb::is_in_place(opened_->env.get(), plan_.folder)) {
      throw lmdb::Error("data.mdb at its place", ENOENT);  // the open one may be the last there is
    }
    open_again(lmdb::File::Scrutiny::values);
  }

  /// False once the file was removed or replaced under us.
  [[nodiscard]] bool is_in_place() const {
    const std::shared_lock lock(mutex_);
    return !opened_ || lmdb::is_in_place(opened_->env.get(), plan_.folder);
  }

  /// Writes it again at its place, from the file that is still open.
  void put_back() {
    const std::unique_lock lock(mutex_);
    if (opened_ && !lmdb::is_in_place(opened_->env.get(), plan_.folder)) {
      write_again(opened_->env.get(), plan_.folder);
      open_again(lmdb::File::Scrutiny::trees);
    }
  }

 private:
  [[nodiscard]] Opened open(lmdb::File::Scrutiny scrutiny) const {
    mend(plan_, scrutiny);
    lmdb::EnvHandle env = lmdb::open_env(plan_.folder, plan_.map_bytes);
    lmdb::Txn txn = lmdb::Txn::write(env.get());
    Databases databases(txn, plan_.folder);
    std::move(txn).commit();
    mark_made(plan_.folder);
    return {std::move(env), std::move(databases)};
  }

  void open_again(lmdb::File::Scrutiny scrutiny) {
    opened_.reset();  // LMDB must not have one file open twice in a process
    opened_.emplace(open(scrutiny));
  }

  [[nodiscard]] Access access(lmdb::Txn (*begin)(MDB_env*)) const {
    std::shared_lock lock(mutex_);
    if (!opened_) {
      throw lmdb::Error("environment", EIO);  // a failed reopen() has left none
    }
    return Access(std::move(lock), opened_->databases, begin(opened_->env.get()));
  }

  const MendingPlan plan_;
  mutable std::shared_mutex mutex_;  // guards opened_: exclusive only to open again
  std::optional<Opened> opened_;
};

}  // namespace m2b
