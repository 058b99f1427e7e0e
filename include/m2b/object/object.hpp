#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "m2b/object/object_key.hpp"

namespace m2b {

/// User metadata as it goes out: names without `x-amz-meta-`, values already ASCII.
using Metadata = std::vector<std::pair<std::string, std::string>>;

/// What ends up in the bucket. The same record always gives the same object.
struct Object {
  ObjectKey key;
  std::string body;
  std::string_view content_type;  // one of the constants of content_type()
  Metadata metadata;
};

}  // namespace m2b
