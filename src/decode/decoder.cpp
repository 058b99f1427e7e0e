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
#include "decode/data_kind.hpp"
#include "decode/lenient_json.hpp"
#include "decode/outline.hpp"
#include "decode/payload_text.hpp"
#include "decode/string_marks.hpp"
#include "m2b/object/content_type.hpp"
#include "m2b/object/metadata.hpp"

namespace m2b {
namespace {

namespace dom = simdjson::dom;

static_assert(Record::kPaddingBytes >= simdjson::SIMDJSON_PADDING &&
                  PayloadText::kPaddingBytes >= simdjson::SIMDJSON_PADDING,
              "simdjson reads so far behind the text");
static_assert(kMaxJsonDepth == simdjson::DEFAULT_MAX_DEPTH - 1, "it refuses from that depth on");

// The parser takes up to 15 bytes for each byte of its longest document, and keeps them. Of a
// longer one it gets the outline.
constexpr std::size_t kMaxParsedBytes = std::size_t{4} << 20U;

/// A parsed message, with what was replaced in its text.
struct Document {
  dom::element root;
  StringMarks marks;
  bool is_rewritten = false;  // by to_strict_json()
};

std::string_view describe(const Document& document, dom::element element) {
  switch (element.type()) {
    case dom::element_type::ARRAY:
      return "an array";
    case dom::element_type::OBJECT:
      return "an object";
    case dom::element_type::INT64:
    case dom::element_type::UINT64:
      return "an integer";
    case dom::element_type::DOUBLE:
      return document.is_rewritten ? describe_rewritten_number(double{element})
                                   : "a number that is no 64-bit integer";
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
  FieldReader(dom::object object, std::string path, const Document& document,
              std::optional<Rejection>& fault)
      : object_(object), path_(std::move(path)), document_(document), fault_(fault) {}

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

  /// Lives as long as the parser keeps the document, and the document its marks.
  std::string_view text(std::string_view name) {
    const std::optional<dom::element> field = find(name);
    if (!require(field, name)) return {};
    std::string_view value;
    if (field->get(value)) refuse_type(name, "a string", *field);
    return document_.marks.text_of(value);
  }

  FieldReader object(std::string_view name) {
    const std::optional<dom::element> field = find(name);
    dom::object value;
    if (require(field, name) && field->get(value)) refuse_type(name, "an object", *field);
    return {value, fmt::format("{}{}.", path_, name), document_, fault_};
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
    fault_ = Rejection{DeadLetterReason::wrong_type,
                       fmt::format("{}{}: expected {}, found {}", path_, name, expected,
                                   describe(document_, found))};
  }

  dom::object object_;
  std::string path_;
  const Document& document_;
  std::optional<Rejection>& fault_;
};

/// A message whose fields are all there with their types.
struct ImageMessage {
  ImageFacts facts;
  std::string_view image_bytes;  // base64; borrowed from the parser, or from the message itself
};

std::variant<ImageMessage, Rejection> read_fields(const Document& document,
                                                  std::string_view topic) {
  dom::object root;
  if (document.root.get(root)) {
    return Rejection{
        DeadLetterReason::wrong_type,
        fmt::format("document: expected an object, found {}", describe(document, document.root))};
  }
  std::optional<Rejection> fault;
  ImageMessage read;
  FieldReader message(root, "", document, fault);
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

std::variant<std::string, BadBase64> decode_body(std::string_view text,
                                                 const OnConsumed& on_consumed) {
  if (text.size() > kMaxParsedBytes) {
    return decode_large_base64(text, on_consumed);
  }
  if (auto body = decode_base64(text)) return *std::move(body);
  return BadBase64{explain_bad_base64(text)};
}

std::variant<Object, Rejection> make_object(const ImageMessage& message,
                                            const OnConsumed& on_consumed) {
  auto decoded = decode_body(message.image_bytes, on_consumed);
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

/// `data` begins at `begin` in the payload; what it is counts more than the fault that was found.
Rejection reject_not_json(std::string_view data, std::size_t begin, const Fault& fault) {
  const std::string kind = describe_data(data);
  return {DeadLetterReason::not_json,
          kind.empty() ? fmt::format("{}, at byte {}", fault.what, fault.offset)
                       : fmt::format("{} instead of JSON, at byte {}", kind, begin)};
}

/// The fault's offset is the text's.
Rejection reject_not_json(const PayloadText& text, Fault fault) {
  fault.offset = text.payload_offset(fault.offset);
  if (text.encoding() != TextEncoding::utf8) {
    fault.what = fmt::format("{}: {}", to_string(text.encoding()), fault.what);
  }
  return reject_not_json(text.text(), text.payload_offset(0), fault);
}

}  // namespace

class Decoder::Parser {
 public:
  std::variant<Object, Rejection> decode(const PayloadText& text, std::string_view topic,
                                         const OnConsumed& on_consumed) {
    std::variant<Document, Rejection> document = parse(text);
    if (Rejection* fault = std::get_if<Rejection>(&document)) return std::move(*fault);
    std::variant<ImageMessage, Rejection> fields = read_fields(std::get<Document>(document), topic);
    if (Rejection* fault = std::get_if<Rejection>(&fields)) return std::move(*fault);
    return make_object(std::get<ImageMessage>(fields), on_consumed);
  }

 private:
  /// The document lives until the next call.
  std::variant<Document, Rejection> parse(const PayloadText& text) {
    Document document;
    std::string_view json = text.text();
    std::optional<std::string> outline;
    if (json.size() > kMaxParsedBytes) {
      outline = make_outline(json, kMaxParsedBytes, document.marks);
      if (!outline) return reject_too_long(text);
      json = pad(*outline);
    }
    if (parse_padded(json, document.root) == simdjson::SUCCESS) return document;

    auto strict = to_strict_json(json, kMaxParsedBytes, document.marks);
    if (const auto* const fault = std::get_if<Fault>(&strict)) {
      // Of an outline other bytes are counted.
      return reject_not_json(text,
                             outline ? find_json_fault(text.text()).value_or(*fault) : *fault);
    }
    if (std::holds_alternative<JsonTooLong>(strict)) return reject_too_long(text);
    document.is_rewritten = true;
    const auto error = parse_padded(pad(std::get<StrictJson>(strict).text), document.root);
    if (error == simdjson::SUCCESS) return document;
    // The fuzzers have found no such text.
    return Rejection{DeadLetterReason::not_json, simdjson::error_message(error)};
  }

  /// `json` has simdjson's padding behind it.
  simdjson::error_code parse_padded(std::string_view json, dom::element& root) {
    constexpr bool kCopyIntoPaddedBuffer = false;
    const auto error = parser_.parse(json.data(), json.size(), kCopyIntoPaddedBuffer).get(root);
    // Ours, not the message's fault.
    if (error == simdjson::MEMALLOC || error == simdjson::CAPACITY) throw std::bad_alloc();
    return error;
  }

  static std::string_view pad(std::string& json) {
    const std::size_t size = json.size();
    json.append(simdjson::SIMDJSON_PADDING, '\0');
    return std::string_view(json).substr(0, size);
  }

  static Rejection reject_too_long(const PayloadText& text) {
    if (const auto fault = find_json_fault(text.text())) return reject_not_json(text, *fault);
    return {DeadLetterReason::too_large,
            fmt::format("more than {} bytes of JSON besides its long strings", kMaxParsedBytes)};
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

std::variant<Object, Rejection> Decoder::decode(const Record& record,
                                                const OnConsumed& on_consumed) {
  const MessageView& message = record.message();
  if (message.payload.size() > max_message_bytes_) {
    return Rejection{
        DeadLetterReason::too_large,
        fmt::format("{} bytes; at most {} allowed", message.payload.size(), max_message_bytes_)};
  }
  const auto text = PayloadText::of(message.payload, on_consumed);
  if (const auto* const fault = std::get_if<Fault>(&text)) {
    return reject_not_json(message.payload, 0, *fault);
  }
  return parser_->decode(std::get<PayloadText>(text), message.topic, on_consumed);
}

}  // namespace m2b
