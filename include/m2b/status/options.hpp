#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "m2b/util/secret.hpp"

namespace m2b {

/// Whether the status page shows the last pictures.
enum class Thumbnails : std::uint8_t {
  automatic,  ///< where the listener is on the loopback
  on,
  off
};

/// Where the status listener listens, and what it shows to whom.
struct StatusOptions {
  bool enabled = true;
  std::string host = "127.0.0.1";  // IPv6 in brackets
  std::uint16_t port = 9797;
  Secret token = {};  // who knows it may act; empty: nobody may
  std::string token_file =
      {};  // where it came from, if from a file: it is read again for each request
  Thumbnails thumbnails = Thumbnails::automatic;
};

/// 16 to 256 visible ASCII characters: it becomes part of a header, and a short one could be found
/// by trying.
[[nodiscard]] bool is_status_token(std::string_view text) noexcept;

/// Whether only this machine can reach the listener.
[[nodiscard]] bool is_loopback(const StatusOptions& options);

/// Whether pictures are kept for the page at all.
[[nodiscard]] bool shows_pictures(const StatusOptions& options);

}  // namespace m2b
