#include "bench/temporary_folder.hpp"

#include <stdlib.h>

#include <cerrno>
#include <string>
#include <system_error>

#include <fmt/format.h>

namespace m2b::bench {

TemporaryFolder::TemporaryFolder(const std::filesystem::path& parent) {
  std::string name = (std::filesystem::absolute(parent) / "mqtt-to-blob-bench-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) {
    throw std::system_error(
        errno, std::generic_category(),
        fmt::format("no folder can be made below '{}'; name another one with --dir",
                    parent.string()));
  }
  path_ = name;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace m2b::bench
