#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "m2b/object/object.hpp"
#include "upload/http_body.hpp"

namespace m2b {

/// The objects as one tar archive that MinIO extracts into objects again, with their content type
/// and metadata (POSIX.1-2001, pax interchange format; the records `minio.metadata.<header>` are
/// MinIO's). Bodies are not copied: the objects outlive the archive.
///
/// Entries carry the time "year 1", which is no time to MinIO's archive reader: it dates the
/// objects by its own clock, as it does those that are put alone. A time of ours would put versions
/// of a key into the wrong order wherever our clock is off.
class TarArchive final {
 public:
  explicit TarArchive(std::span<const Object* const> objects);
  TarArchive(const TarArchive&) = delete;  // the pieces point into it
  TarArchive& operator=(const TarArchive&) = delete;

  /// What to send, in order; valid as long as the archive.
  [[nodiscard]] const BodyPieces& pieces() const noexcept { return pieces_; }

 private:
  std::string headers_;  // all that is no body: headers and padding
  BodyPieces pieces_;
};

/// Whether MinIO stores an entry of that name under exactly that key. It cleans names: segments
/// that are empty, `.` or `..` go, and so does a slash at either end.
[[nodiscard]] bool is_archive_name(std::string_view key) noexcept;

}  // namespace m2b
