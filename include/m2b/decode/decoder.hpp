#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string_view>
#include <variant>

#include "m2b/object/object.hpp"
#include "m2b/spool/dead_letter.hpp"
#include "m2b/spool/record.hpp"

namespace m2b {

/// Turns the record of a rawImage or productImage message into its object, by the rules of
/// docs/messages.md. Pure: the same record gives the same object, today and after every restart.
/// One instance belongs to one thread (it keeps simdjson's parser and its memory).
class Decoder {
 public:
  /// Messages with a longer payload are rejected as too_large.
  explicit Decoder(std::size_t max_message_bytes);
  ~Decoder();

  [[nodiscard]] std::variant<Object, Rejection> decode(const Record& record);
  /// The same, and a large record gives its memory up while its object grows.
  [[nodiscard]] std::variant<Object, Rejection> decode(Record&& record);

 private:
  using OnConsumed = std::function<void(std::string_view)>;
  [[nodiscard]] std::variant<Object, Rejection> decode(const Record& record,
                                                       const OnConsumed& on_consumed);

  class Parser;  // keeps simdjson's header out of here
  std::unique_ptr<Parser> parser_;
  std::size_t max_message_bytes_;
};

}  // namespace m2b
