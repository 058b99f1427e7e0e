#include "m2b/mqtt/options.hpp"

#include <cstddef>

#include "m2b/util/typed_text.hpp"

namespace m2b {

bool is_mqtt_password(std::string_view text) {
  constexpr std::size_t kMaxBytes = 65'535;
  return text.size() <= kMaxBytes && control_character_in(text).empty();
}

}  // namespace m2b
