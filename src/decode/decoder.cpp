#include "m2b/decode/decoder.hpp"

#include <cassert>
#include <cstdint>
#include <functional>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <fmt/format.h>
#include <simdjson.h>

#include "decode/base64.hpp"
#include "decode/outline.hpp"
#include "decode/wide_numbers.hpp"
#include "m2b/object/content_type.hpp"
#include "m2b/object/metadata.hpp"

namespace m2b {
namespace {

namespace dom = simdjson::dom;

static_assert(Record::kPaddingBytes >= simdjson::SIMDJSON_PADDING,
              "simdjson reads so far behind the text");

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
// The parser takes up to 15 bytes for each byte of its longest document, and keeps them. Of a
// longer one it gets the outline.
constexpr std::size_t kMaxParsedBytes = std::size_t{4} << 20U;
static_assert(Outline::kPaddingBytes >= simdjson::SIMDJSON_PADDING);

std::string_view describe(dom::element element) {
  switch (element.type()) {
    case dom::element_type::ARRAY:
      return "an array";
    case dom::element_type::OBJECT:
      return "an object";
    case dom::element_type::INT64:
    case dom::element_type::UINT64:
      return "an integer";
    case dom::element_type::DOUBLE:
      return "a number that is no 64-bit integer";
    case dom::element_type::STRING:
      return "a string";
    case dom::element_type::BOOL:
      return "a boolean";
    case dom::element_type::NULL_VALUE:
      return "null";
  }
  assert(false);
  return "something else";
}

/// Reads fields of a JSON object by name and type. The first fault is kept; after it every field
/// reads as empty.
class FieldReader {
 public:
  FieldReader(dom::object object, std::string path, const Outline* outline,
              std::optional<Rejection>& fault)
      : object_(object), path_(std::move(path)), outline_(outline), fault_(fault) {}

  /// Decimal digits. The field may also be spelled like `alias`.
  std::string integer(std::string_view name, std::string_view alias = {}) {
    std::optional<dom::element> field = find(name);
    if (!field && !alias.empty()) field = find(alias);
    if (!require(field, name)) return {};
    if (std::int64_t number = 0; !field->get(number)) return std::to_string(number);
    if (std::uint64_t number = 0; !field->get(number)) return std::to_string(number);
    refuse_type(name, "an integer", *field);
    return {};
  }

  /// Lives as long as the parser keeps the document, and its outline where there is one.
  std::string_view text(std::string_view name) {
    const std::optional<dom::element> field = find(name);
    if (!require(field, name)) return {};
    std::string_view value;
    if (field->get(value)) refuse_type(name, "a string", *field);
    return outline_ != nullptr ? outline_->text_of(value) : value;
  }

  FieldReader object(std::string_view name) {
    const std::optional<dom::element> field = find(name);
    dom::object value;
    if (require(field, name) && field->get(value)) refuse_type(name, "an object", *field);
    return {value, fmt::format("{}{}.", path_, name), outline_, fault_};
  }

 private:
  /// Of two fields with the same name the last one counts (as in Python's json).
  [[nodiscard]] std::optional<dom::element> find(std::string_view name) const {
    if (fault_) return std::nullopt;
    std::optional<dom::element> found;
    for (const dom::key_value_pair field : object_) {
      if (field.key == name) found = field.value;
    }
    return found;
  }

  bool require(const std::optional<dom::element>& field, std::string_view name) {
    if (fault_) return false;
    if (!field) {
      fault_ =
          Rejection{DeadLetterReason::missing_field, fmt::format("{}{}: missing", path_, name)};
    }
    return field.has_value();
  }

  void refuse_type(std::string_view name, std::string_view expected, dom::element found) {
    fault_ = Rejection{
        DeadLetterReason::wrong_type,
        fmt::format("{}{}: expected {}, found {}", path_, name, expected, describe(found))};
  }

  dom::object object_;
  std::string path_;
  const Outline* outline_;  // none: the document is whole
  std::optional<Rejection>& fault_;
};

/// A message whose fields are all there with their types.
struct ImageMessage {
  ImageFacts facts;
  std::string_view image_bytes;  // base64; borrowed from the parser, or from the message itself
};

std::variant<ImageMessage, Rejection> read_fields(dom::element document, const Outline* outline,
                                                  std::string_view topic) {
  dom::object root;
  if (document.get(root)) {
    return Rejection{DeadLetterReason::wrong_type,
                     fmt::format("document: expected an object, found {}", describe(document))};
  }
  std::optional<Rejection> fault;
  ImageMessage read;
  FieldReader message(root, "", outline, fault);
  read.facts.timestamp_ms = message.integer("timestamp_ms");
  FieldReader image = message.object("image");
  read.facts.image_id = image.text("image_id");
  read.image_bytes = image.text("image_bytes");
  read.facts.image_height = image.integer("image_height", "image_heigth");
  read.facts.image_width = image.integer("image_width");
  read.facts.image_channels = image.integer("image_channels");
  read.facts.topic = topic;
  if (fault) return std::move(*fault);
  return read;
}

/// Calls `on_decoded` with the parts of a large picture's text that it is done with.
using OnDecoded = std::function<void(std::string_view)>;

std::variant<std::string, BadBase64> decode_body(std::string_view text,
                                                 const OnDecoded& on_decoded) {
  if (text.size() > kMaxParsedBytes) {
    return decode_large_base64(text, on_decoded);
  }
  if (auto body = decode_base64(text)) return *std::move(body);
  return BadBase64{explain_bad_base64(text)};
}

std::variant<Object, Rejection> make_object(const ImageMessage& message,
                                            const OnDecoded& on_decoded) {
  auto decoded = decode_body(message.image_bytes, on_decoded);
  if (const auto* const bad = std::get_if<BadBase64>(&decoded)) {
    return Rejection{DeadLetterReason::bad_base64, "image.image_bytes: " + bad->explanation};
  }
  auto* const body = std::get_if<std::string>(&decoded);
  std::variant<ObjectKey, std::string> key = ObjectKey::from_image_id(message.facts.image_id);
  if (const std::string* reason = std::get_if<std::string>(&key)) {
    return Rejection{DeadLetterReason::bad_key, "image.image_id: " + *reason};
  }
  const std::string_view type = content_type(*body);
  return Object{std::get<ObjectKey>(std::move(key)), std::move(*body), type,
                make_metadata(message.facts)};
}

}  // namespace

class Decoder::Parser {
 public:
  /// `json` has simdjson's padding behind it.
  std::variant<Object, Rejection> decode(std::string_view json, std::string_view topic,
                                         const OnDecoded& on_decoded) {
    std::optional<Outline> outline;
    if (json.size() > kMaxParsedBytes) {
      Outline::Result result = Outline::of(json, kMaxParsedBytes);
      if (std::holds_alternative<Outline::TooLong>(result)) {
        return Rejection{
            DeadLetterReason::too_large,
            fmt::format("more than {} bytes of JSON besides its long strings", kMaxParsedBytes)};
      }
      if (const auto* const fault = std::get_if<Outline::NotJson>(&result)) {
        return Rejection{DeadLetterReason::not_json, fault->detail};
      }
      outline = std::get<Outline>(std::move(result));
      json = outline->json();
    }
    std::variant<dom::element, Rejection> document = parse(json);
    if (Rejection* fault = std::get_if<Rejection>(&document)) return std::move(*fault);
    std::variant<ImageMessage, Rejection> fields =
        read_fields(std::get<dom::element>(document), outline ? &*outline : nullptr, topic);
    if (Rejection* fault = std::get_if<Rejection>(&fields)) return std::move(*fault);
    return make_object(std::get<ImageMessage>(fields), on_decoded);
  }

 private:
  /// The document lives until the next call.
  std::variant<dom::element, Rejection> parse(std::string_view json) {
    dom::element document;
    simdjson::error_code error = parse_padded(json).get(document);
    if (error == simdjson::NUMBER_ERROR) {
      std::string text = replace_wide_numbers(json);
      text.append(simdjson::SIMDJSON_PADDING, '\0');
      error = parse_padded(std::string_view(text).substr(0, json.size())).get(document);
    }
    if (error == simdjson::SUCCESS) return document;
    // Ours, not the message's fault.
    if (error == simdjson::MEMALLOC || error == simdjson::CAPACITY) throw std::bad_alloc();
    return Rejection{DeadLetterReason::not_json, simdjson::error_message(error)};
  }

  simdjson::simdjson_result<dom::element> parse_padded(std::string_view json) {
    constexpr bool kCopyIntoPaddedBuffer = false;
    return parser_.parse(json.data(), json.size(), kCopyIntoPaddedBuffer);
  }

  dom::parser parser_;
};

Decoder::Decoder(std::size_t max_message_bytes)
    : parser_(std::make_unique<Parser>()), max_message_bytes_(max_message_bytes) {}

Decoder::~Decoder() = default;

std::variant<Object, Rejection> Decoder::decode(const Record& record) {
  return decode(record, [](std::string_view) {});
}

std::variant<Object, Rejection> Decoder::decode(Record&& record) {
  return decode(record, [&](std::string_view part) { record.forget(part); });
}

std::variant<Object, Rejection> Decoder::decode(const Record& record, const OnDecoded& on_decoded) {
  const MessageView& message = record.message();
  if (message.payload.size() > max_message_bytes_) {
    return Rejection{
        DeadLetterReason::too_large,
        fmt::format("{} bytes; at most {} allowed", message.payload.size(), max_message_bytes_)};
  }
  std::string_view json = message.payload;
  if (json.starts_with(kByteOrderMark)) json.remove_prefix(kByteOrderMark.size());

  return parser_->decode(json, message.topic, on_decoded);
}

}  // namespace m2b
