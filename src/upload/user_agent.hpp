#pragma once

namespace m2b {

/// What we call ourselves to the store.
inline constexpr const char* kUserAgent = "mqtt-to-blob/" M2B_VERSION;

}  // namespace m2b
