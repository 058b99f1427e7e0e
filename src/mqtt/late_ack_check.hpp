#pragma once

#include <string>

namespace m2b {

/// Tries with a broker of our own, on the loopback, whether acknowledgements leave when we say so,
/// and only then. Empty when they do, otherwise what is wrong. Takes some milliseconds, and seconds
/// when something is wrong.
[[nodiscard]] std::string check_late_ack();

}  // namespace m2b
