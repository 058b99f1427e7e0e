#include "check/spool_check.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <filesystem>
#include <system_error>

#include <fmt/format.h>

#include "spool/capacity.hpp"
#include "spool/spool_directory.hpp"
#include "status/words.hpp"

namespace m2b::check {
namespace {

constexpr std::string_view kFolder = "spool.folder";
constexpr std::string_view kSpace = "spool.space";
constexpr std::chrono::seconds kDiskLimit{5};

/// The folder, or what of its path exists already.
std::filesystem::path existing_part(std::filesystem::path path) {
  std::error_code error;
  while (!std::filesystem::exists(path, error) && path.has_relative_path()) {
    path = path.parent_path();
  }
  return path.empty() ? "." : path;
}

Finding check_folder(const std::filesystem::path& directory) {
  std::error_code error;
  const std::filesystem::path there = existing_part(directory);
  const bool is_made = there == directory;
  if (!std::filesystem::is_directory(there, error)) {
    return failed(fmt::format("{} is not a folder", there.native()),
                  "Set SPOOL_DIR to a folder of its own on a local disk.");
  }
  // With the rights that count: those of the effective user.
  if (::faccessat(AT_FDCWD, there.c_str(), R_OK | W_OK | X_OK, AT_EACCESS) != 0) {
    return failed(
        fmt::format("user {} may not write to {}: {}", ::geteuid(), there.native(),
                    std::generic_category().message(errno)),
        "Run the check as the user that the bridge runs as; let that user own SPOOL_DIR.");
  }
  return ok(is_made ? fmt::format("user {} may write to {}", ::geteuid(), directory.native())
                    : fmt::format("{} does not exist yet; user {} may make it", directory.native(),
                                  ::geteuid()));
}

Finding check_space(const SpoolOptions& options) {
  const SpoolDirectory::Space space = SpoolDirectory::space_of(existing_part(options.directory));
  const std::uint64_t floor =
      options.min_free_bytes.value_or(default_min_free_bytes(space.total_bytes));
  const auto text = [](std::uint64_t bytes) { return words::bytes(static_cast<double>(bytes)); };
  const std::string seen =
      fmt::format("{} of {} are free; SPOOL_MIN_FREE_BYTES keeps {}", text(space.free_bytes),
                  text(space.total_bytes), text(floor));
  if (space.free_bytes <= floor) {
    return failed(seen + ", so the spool takes no messages",
                  "Make room on that disk, or set SPOOL_DIR to a folder on another.");
  }
  return ok(seen);
}

}  // namespace

std::vector<std::string_view> spool_steps() { return {kFolder, kSpace}; }

void check_spool(Lane& lane, const SpoolOptions& options) {
  if (lane.run(kFolder, kDiskLimit, [&] { return check_folder(options.directory); })) {
    lane.run(kSpace, kDiskLimit, [&] { return check_space(options); });
  }
}

}  // namespace m2b::check
