// upload/shared_credentials: the AWS tools' file gives credentials or a reason that shows no
// secret. Input: the profile, a NUL, the file.

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "fuzz/checks.hpp"
#include "upload/shared_credentials.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace m2b;
  using fuzz::require;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::string_view profile = input.substr(0, input.find('\0'));
  const fuzz::Exact file(input.substr(std::min(profile.size() + 1, input.size())));

  const auto parsed = parse_shared_credentials(file.view(), profile);
  if (const auto* const fault = std::get_if<std::string>(&parsed)) {
    require(fuzz::is_one_visible_line(*fault), "a reason is one visible line");
    require(fault->size() <= 100 + 4 * profile.size(), "a reason shows nothing of the file");
    return 0;
  }
  const auto& credentials = std::get<Credentials>(parsed);
  require(!credentials.access_key.empty() && !credentials.secret_key.empty(),
          "both keys are there");
  require(file.view().find(credentials.secret_key.reveal()) != std::string_view::npos,
          "the secret key is what the file says");
  return 0;
}
