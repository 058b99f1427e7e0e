#include "pipeline/delivery.hpp"

#include <fmt/format.h>

namespace m2b {

std::string Delivery::state(std::uint64_t stored_count) const {
  std::string text = std::to_string(to_number(id));
  const auto add_if = [&text](bool holds, char letter) {
    if (holds) {
      text += letter;
    }
  };
  add_if(lane == Lane::live, 'L');
  add_if(lane == Lane::dead_letter, 'D');
  add_if(has_turn, 't');
  add_if(is_late, 'l');
  add_if(is_solo, 's');
  add_if(is_probe, 'p');
  add_if(goes_alone, 'a');
  add_if(object != nullptr, 'o');
  if (budget_bytes > 0) {
    text += fmt::format("={}", budget_bytes);
  }
  if (history.refusals > 0) {
    text += fmt::format("!{}@{}", history.proven_refusals, stored_count - history.stored_mark);
  }
  return text;
}

}  // namespace m2b
