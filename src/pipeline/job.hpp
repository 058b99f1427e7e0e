#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "m2b/object/object.hpp"
#include "m2b/spool/message.hpp"

namespace m2b {

/// A record that is to be decoded.
struct DecodeJob {
  SpoolId id{};
  std::size_t bytes = 0;            // its share of the budget
  std::uint32_t postponements = 0;  // above 0 its key is registered already
};

/// An object whose turn has come.
struct UploadJob {
  SpoolId id{};
  std::size_t bytes = 0;
  std::uint32_t postponements = 0;
  std::unique_ptr<Object> object;
};

}  // namespace m2b
