#include "pipeline/delivery.hpp"

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
    text += "=" + std::to_string(budget_bytes);
  }
  if (history.refusals > 0) {
    text += "!" + std::to_string(history.proven_refusals) + "@" +
            std::to_string(stored_count - history.stored_mark);
  }
  return text;
}

}  // namespace m2b
