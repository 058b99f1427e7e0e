#pragma once

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>
#include <filesystem>
#include <string>

#include "m2b/util/fd.hpp"

namespace m2b {

/// The address of a Unix socket in any folder: sun_path takes 107 bytes, so the folder is named by
/// a descriptor, which this keeps open.
class UnixAddress {
 public:
  explicit UnixAddress(const std::filesystem::path& path)
      : folder_(::open(path.parent_path().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)) {
    const std::string name =
        fmt::format("/proc/self/fd/{}/{}", folder_.get(), path.filename().string());
    fits_ = name.size() < sizeof address_.sun_path;
    address_.sun_family = AF_UNIX;
    std::strncpy(address_.sun_path, name.c_str(), sizeof address_.sun_path - 1);
  }

  [[nodiscard]] explicit operator bool() const noexcept { return folder_ && fits_; }
  [[nodiscard]] const sockaddr* get() const noexcept {
    return reinterpret_cast<const sockaddr*>(&address_);
  }
  [[nodiscard]] socklen_t size() const noexcept { return sizeof address_; }
  [[nodiscard]] const char* path() const noexcept { return address_.sun_path; }

 private:
  Fd folder_;
  sockaddr_un address_{};
  bool fits_ = false;
};

}  // namespace m2b
