#include "tools/exporter.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "m2b/util/fd.hpp"

namespace m2b {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void fail(const fs::path& path, int code) {
  throw ExportError(
      fmt::format("cannot write {}: {}", path.string(), std::generic_category().message(code)));
}

/// Pictures are nobody else's business, whatever the umask and whatever the folder's mode.
void make_private(const fs::path& path) {
  const Fd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, S_IRUSR | S_IWUSR));
  if (!file) {
    fail(path, errno);
  }
}

void make_private_folder(const fs::path& folder) {
  if (!folder.has_filename()) {
    return make_private_folder(folder.parent_path());  // a slash at the end
  }
  std::error_code error;
  fs::create_directories(folder.parent_path(), error);  // or mkdir() will tell
  if (::mkdir(folder.c_str(), S_IRWXU) != 0 && errno != EEXIST) {
    fail(folder, errno);
  }
}

}  // namespace

Exporter::Exporter(fs::path folder) : folder_(std::move(folder)) {
  make_private_folder(folder_);
  std::error_code error;
  const bool is_empty = fs::is_empty(folder_, error);
  if (error) {
    fail(folder_, error.value());
  }
  if (!is_empty) {
    throw ExportError(folder_.string() + " is not empty: give a new folder");
  }
  make_private(folder_ / "index.jsonl");
  index_.open(folder_ / "index.jsonl");
}

void Exporter::add(SpoolId id, std::string_view payload, documents::Json about) {
  write(fmt::format("{:020}.json", to_number(id)), payload, std::move(about));
}

std::string Exporter::add_record(SpoolId id, std::string_view record, documents::Json about) {
  std::string name = fmt::format("{:020}.record", to_number(id));
  write(name, record, std::move(about));
  return name;
}

void Exporter::write(const std::string& name, std::string_view bytes, documents::Json about) {
  const fs::path path = folder_ / name;
  make_private(path);
  errno = 0;
  std::ofstream file(path, std::ios::binary);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  file.close();
  if (!file) {
    fail(path, errno);
  }
  about["file"] = name;
  index_ << documents::line_of(about) << '\n';
}

void Exporter::finish() {
  errno = 0;
  index_.close();
  if (!index_) {
    fail(folder_ / "index.jsonl", errno);
  }
  const Fd fd(::open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd || ::syncfs(fd.get()) != 0) {
    fail(folder_, errno);
  }
}

}  // namespace m2b
