#pragma once

#include <string_view>

namespace m2b {

/// The media type by the data's own magic bytes: JPEG, PNG, GIF, BMP, TIFF, WebP, AVIF/HEIC, MP4,
/// WAV; `application/octet-stream` for everything else and for no data. The text lives for ever.
[[nodiscard]] std::string_view content_type(std::string_view data) noexcept;

}  // namespace m2b
