#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace m2b::config {

/// What keeps it from being a bucket's name, after the rules of Amazon S3 and of MinIO, which also
/// refuses a dot beside a hyphen.
[[nodiscard]] std::optional<std::string> bucket_name_fault(std::string_view name);

}  // namespace m2b::config
