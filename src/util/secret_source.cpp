#include "m2b/util/secret_source.hpp"

#include <utility>
#include <variant>

#include "m2b/util/log.hpp"
#include "m2b/util/secret_file.hpp"

namespace m2b {

Secret SecretSource::current() {
  if (file_.empty()) {
    return last_;
  }
  auto read = read_secret_file(file_);
  const std::lock_guard lock(mutex_);
  if (const auto* const fault = std::get_if<SecretFileFault>(&read)) {
    warn(fault->text);
  } else if (auto& secret = std::get<Secret>(read); !is_one_(secret.reveal())) {
    warn("holds none");
  } else {
    faults_.reset();
    last_ = std::move(secret);
  }
  return last_;
}

void SecretSource::warn(std::string_view cause) {
  if (const auto held_back = faults_.admit(cause)) {
    log::warn("secrets", "a secret cannot be read again; goes on with the last one",
              {{"setting", setting_}, {"file", file_}, {"cause", cause}, {"repeated", *held_back}});
  }
}

}  // namespace m2b
