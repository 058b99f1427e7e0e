#pragma once

#include <filesystem>
#include <stdexcept>
#include <string>
#include <string_view>

#include "control/documents.hpp"
#include "m2b/util/fd.hpp"

namespace m2b {

/// The export cannot be written: the text names the path and the cause.
class ExportError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Writes messages into a folder: each payload as `<id>.json`, what cannot be read as one as
/// `<id>.record`, and a line about each in `index.jsonl`, for the user's own eyes (0600). Throws
/// ExportError.
class Exporter {
 public:
  /// The folder is made (0700); one that holds something already, or is a link, is refused.
  explicit Exporter(std::filesystem::path folder);

  void add(SpoolId id, std::string_view payload, documents::Json about);
  /// The bytes as they are in the spool; returns the name of their file.
  std::string add_record(SpoolId id, std::string_view record, documents::Json about);
  /// All of it is on disk when this returns.
  void finish();

 private:
  [[nodiscard]] Fd make_file(const std::string& name) const;
  void write(const std::string& name, std::string_view bytes, documents::Json about);

  const std::filesystem::path folder_;
  Fd folder_fd_;
  Fd index_;
};

}  // namespace m2b
