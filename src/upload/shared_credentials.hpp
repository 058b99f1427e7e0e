#pragma once

#include <string>
#include <string_view>
#include <variant>

#include "m2b/upload/credentials.hpp"

namespace m2b {

/// The credentials of a profile in the AWS tools' format ("Configuration and credential file
/// settings", AWS CLI user guide): `[profile]`, then `aws_access_key_id`, `aws_secret_access_key`
/// and perhaps `aws_session_token`; other keys are passed over. Otherwise what is missing, to
/// follow the file's name.
[[nodiscard]] std::variant<Credentials, std::string> parse_shared_credentials(
    std::string_view text, std::string_view profile);

}  // namespace m2b
