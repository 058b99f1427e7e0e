#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "m2b/util/fd.hpp"

namespace m2b {

/// A TCP socket that listens at the first address of the host that can be had; the port is shared
/// with nobody. Empty with errno when there is none. May ask the resolver.
[[nodiscard]] Fd listen_on_tcp(const std::string& host, std::uint16_t port);

/// A Unix socket that its owner alone may use; takes the place of one that is left over. Empty with
/// errno when it cannot be made.
[[nodiscard]] Fd listen_on_path(const std::filesystem::path& path);

}  // namespace m2b
