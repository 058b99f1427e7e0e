#include "tools/exporter.hpp"

#include <fcntl.h>
#include <fmt/format.h>
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

}  // namespace

Exporter::Exporter(fs::path folder) : folder_(std::move(folder)) {
  std::error_code error;
  fs::create_directories(folder_, error);
  if (error) {
    fail(folder_, error.value());
  }
  const bool is_empty = fs::is_empty(folder_, error);
  if (error) {
    fail(folder_, error.value());
  }
  if (!is_empty) {
    throw ExportError(folder_.string() + " is not empty: give a new folder");
  }
  index_.open(folder_ / "index.jsonl");
}

void Exporter::add(SpoolId id, std::string_view payload, documents::Json about) {
  const std::string name = fmt::format("{:020}.json", to_number(id));
  const fs::path path = folder_ / name;
  errno = 0;
  std::ofstream file(path, std::ios::binary);
  file.write(payload.data(), static_cast<std::streamsize>(payload.size()));
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
