#include "tools/exporter.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

#include "m2b/util/handle.hpp"

namespace m2b {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void fail(const fs::path& path, int code) {
  throw ExportError(
      fmt::format("cannot write {}: {}", path.string(), std::generic_category().message(code)));
}

void write_all(const Fd& file, std::string_view bytes, const fs::path& path) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(file.get(), bytes.data(), bytes.size());
    if (written < 0 && errno != EINTR) {
      fail(path, errno);
    }
    bytes.remove_prefix(static_cast<std::size_t>(std::max<ssize_t>(written, 0)));
  }
}

bool is_empty(const Fd& folder) {
  const Handle<DIR, &::closedir> entries(
      ::fdopendir(::openat(folder.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)));
  const dirent* entry = nullptr;
  do {
    entry = entries ? ::readdir(entries.get()) : nullptr;  // NOLINT(concurrency-mt-unsafe): ours
  } while (entry != nullptr &&
           (std::string_view(entry->d_name) == "." || std::string_view(entry->d_name) == ".."));
  return entry == nullptr;
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
  // By its descriptor, and each file by its own: in a folder such as /tmp another user could put a
  // link in the place of what was just made.
  const fs::path place = folder_.has_filename() ? folder_ : folder_.parent_path();
  folder_fd_ = Fd(::open(place.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!folder_fd_) {
    const int error = errno;
    if (fs::is_symlink(place)) {
      throw ExportError(place.string() + " is a link: name the folder that it leads to");
    }
    fail(place, error);
  }
  if (!is_empty(folder_fd_)) {
    throw ExportError(folder_.string() + " is not empty: give a new folder");
  }
  index_ = make_file("index.jsonl");
}

/// Pictures are nobody else's business, whatever the umask and whatever the folder's mode.
Fd Exporter::make_file(const std::string& name) const {
  Fd file(::openat(folder_fd_.get(), name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
                   S_IRUSR | S_IWUSR));
  if (!file) {
    fail(folder_ / name, errno);
  }
  return file;
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
  write_all(make_file(name), bytes, folder_ / name);
  about["file"] = name;
  write_all(index_, documents::line_of(about) + '\n', folder_ / "index.jsonl");
}

void Exporter::finish() {
  if (::syncfs(folder_fd_.get()) != 0) {
    fail(folder_, errno);
  }
}

}  // namespace m2b
