#pragma once

#include <string>
#include <string_view>

namespace m2b {

/// What data is that is no JSON, by its first bytes, for a person: "a JPEG image", "gzip data",
/// "the base64 text of a PNG image"; nothing where it is not known.
[[nodiscard]] std::string describe_data(std::string_view data);

}  // namespace m2b
