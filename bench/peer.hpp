#pragma once

#include <cstddef>
#include <string>

#include "bench/bridge.hpp"

namespace m2b::bench {

struct PeerOptions {
  std::string program;      // that of scripts/peer; empty: no peer is measured
  unsigned in_flight = 16;  // its max_in_flight: uploads at a time
};

/// Where the peer keeps what is not uploaded yet.
enum class PeerQueue {
  none,    // in memory, bounded by what is in flight
  sqlite,  // in its own buffer on disk
};

[[nodiscard]] const char* to_string(PeerQueue queue);

/// Pictures must be smaller. The peer's S3 client asks with Expect before it sends more, and later
/// sends in parts; neither the discard store nor the relay know of that.
inline constexpr std::size_t kMaxPeerPictureBytes = std::size_t{2} << 20;

/// Throws what stands against measuring it with pictures of that size.
void check_peer(const PeerOptions& options, std::size_t picture_bytes);

/// Benthos, with a pipeline that makes the same objects of the same messages as the daemon does
/// (docs/messages.md). It does not make the bucket. Its account has no dead letters: messages that
/// its mapping refuses count as lost. Tuned for pictures of that size.
[[nodiscard]] BridgeProgram peer_program(const PeerOptions& options, PeerQueue queue,
                                         std::size_t picture_bytes, const BridgePlace& place);

}  // namespace m2b::bench
