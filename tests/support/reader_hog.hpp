#pragma once

#include <filesystem>

#include <sys/types.h>

#include "m2b/util/fd.hpp"

namespace m2b::test {

/// Another process that takes all places in the table of readers of an LMDB environment, so that
/// reading fails here while it lasts.
class ReaderHog {
 public:
  /// Forks; made before this process opens the environment and starts threads.
  explicit ReaderHog(const std::filesystem::path& environment);
  /// Gives the places back and ends.
  ~ReaderHog();
  ReaderHog(const ReaderHog&) = delete;
  ReaderHog& operator=(const ReaderHog&) = delete;

  /// Returns once all places are taken.
  void take_all();
  /// Returns once all are given back.
  void give_back();

 private:
  void command(char what);

  Fd socket_;
  pid_t child_ = -1;
};

}  // namespace m2b::test
