#include "bench/pictures.hpp"

#include <openssl/evp.h>

#include <algorithm>
#include <charconv>
#include <random>
#include <variant>

#include <fmt/format.h>

#include "m2b/object/metadata.hpp"

namespace m2b::bench {
namespace {

using namespace std::string_view_literals;

constexpr std::string_view kJpegStart = "\xff\xd8\xff\xe0\x00\x10JFIF\x00"sv;
constexpr std::string_view kTimestamp = "1635351550897";

std::string random_jpeg(std::size_t bytes) {
  std::string picture(kJpegStart);
  picture.resize(bytes);
  std::mt19937_64 random;  // NOLINT(cert-msc51-cpp): the same pictures in every run
  std::generate(picture.begin() + kJpegStart.size(), picture.end(),
                [&] { return static_cast<char>(random()); });
  return picture;
}

std::string base64(const std::string& bytes) {
  std::string text((bytes.size() + 2) / 3 * 4 + 1, '\0');  // and its NUL
  const int written = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()),
                                      reinterpret_cast<const unsigned char*>(bytes.data()),
                                      static_cast<int>(bytes.size()));
  text.resize(static_cast<std::size_t>(written));
  return text;
}

}  // namespace

Picture::Picture(std::size_t decoded_bytes, std::string_view id_start)
    : decoded_(random_jpeg(decoded_bytes)) {
  message_ =
      fmt::format(R"({{"timestamp_ms":{},"image":{{"image_id":"{}{:0{}}","image_bytes":"{}",)"
                  R"("image_height":800,"image_width":1203,"image_channels":3}}}})",
                  kTimestamp, id_start, 0, kNumberDigits, base64(decoded_));
  id_at_ = message_.find(id_start) + id_start.size();
}

std::string_view Picture::message(std::size_t number) {
  for (std::size_t i = kNumberDigits; i-- > 0; number /= 10) {
    message_[id_at_ + i] = static_cast<char>('0' + number % 10);
  }
  return message_;
}

std::optional<std::size_t> picture_number(std::string_view request) {
  const std::string_view line = request.substr(0, request.find('\n'));
  const std::size_t at = line.find(fmt::format("/{}", kIdStart));
  if (!line.starts_with("PUT ") || at == std::string_view::npos) return std::nullopt;
  const std::string_view digits = line.substr(at + 1 + kIdStart.size(), kNumberDigits);
  std::size_t number = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (error != std::errc() || end != digits.data() + kNumberDigits) return std::nullopt;
  return number;
}

ObjectKey bare_key(std::size_t number) {
  return std::get<ObjectKey>(
      ObjectKey::from_image_id(fmt::format("bare-{:0{}}", number, kNumberDigits)));
}

Object bare_object(const Picture& picture, std::size_t number) {
  const ObjectKey key = bare_key(number);
  return {key, picture.decoded(), "image/jpeg",
          make_metadata({std::string(kTimestamp), key.str(), "800", "1203", "3", "bench/picture"})};
}

}  // namespace m2b::bench
