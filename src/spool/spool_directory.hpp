#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "m2b/util/fd.hpp"

namespace m2b {

/// The folder of the spool: made (0700), locked against a second process, measured. The lock is
/// flock's and goes with the process, however it ends. Throws SpoolError.
class SpoolDirectory {
 public:
  explicit SpoolDirectory(std::filesystem::path path);

  /// Keeps a process from using the spool while the result lives; nothing is written. An empty
  /// result: there is no lock, as in a copy of a spool. Throws SpoolInUse.
  [[nodiscard]] static Fd lock_for_reading(const std::filesystem::path& directory);

  /// Makes and locks it anew, should it have been removed or replaced.
  void take_again();

  /// A folder inside, made if it is missing, its entry on disk. Throws SpoolError, also where it is
  /// a link.
  [[nodiscard]] std::filesystem::path subdirectory(const char* name) const;

  /// Makes the entries of a folder durable, so that a new file is found after a power cut.
  static void sync(const std::filesystem::path& directory);

  /// Damaged files that are kept, in the folder kSetAside.
  [[nodiscard]] std::uint64_t files_set_aside() const noexcept;
  /// Where they are. None where that folder is a link.
  [[nodiscard]] static std::vector<std::filesystem::path> set_aside_in(
      const std::filesystem::path& directory);
  static constexpr const char* kSetAside = "set-aside";

  struct Space {
    std::uint64_t free_bytes;  // for unprivileged users, as df shows it
    std::uint64_t total_bytes;
  };
  /// Of the file system; zeroes when it cannot be told.
  [[nodiscard]] Space space() const noexcept { return space_of(path_); }
  [[nodiscard]] static Space space_of(const std::filesystem::path& path) noexcept;
  [[nodiscard]] static Space space_of(int fd) noexcept;

  /// Whether LMDB's code means that the disk is full: a short write, too, is EIO to LMDB, so that
  /// the disk itself is asked.
  [[nodiscard]] bool is_full(int code) const noexcept { return is_full(code, path_); }
  [[nodiscard]] static bool is_full(int code, const std::filesystem::path& directory) noexcept;

 private:
  std::filesystem::path path_;
  Fd lock_;
};

/// What a person can do where LMDB's code kept a spool with that cap (0: none) from being opened.
[[nodiscard]] std::string remedy_of(int code, const std::filesystem::path& directory,
                                    std::uint64_t max_bytes);

}  // namespace m2b
