#pragma once

#include <cstddef>
#include <string>

namespace m2b {

/// The first place where a text breaks a rule.
struct Fault {
  std::size_t offset;  // in bytes from the start of the text
  std::string what;    // for a person; holds at most one character of the text
};

}  // namespace m2b
