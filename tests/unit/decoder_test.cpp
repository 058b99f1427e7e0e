#include "m2b/decode/decoder.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include <fmt/format.h>

#include "m2b/spool/record.hpp"

namespace {

using m2b::DeadLetterReason;
using m2b::Decoder;
using m2b::Metadata;
using m2b::Object;
using m2b::Record;
using m2b::Rejection;
using namespace std::string_literals;

TEST_SUITE("decoder") {
  constexpr std::size_t kMaxMessageBytes = std::size_t{16} << 20U;

  /// A record as the spool hands it out: exactly so many bytes, then zeros.
  Record record_of(std::string_view payload, std::string_view topic) {
    const std::size_t size = payload.size() + Record::kPaddingBytes + topic.size();
    auto buffer = std::make_unique<char[]>(size);
    std::copy(payload.begin(), payload.end(), buffer.get());
    std::copy(topic.begin(), topic.end(), buffer.get() + payload.size() + Record::kPaddingBytes);
    m2b::MessageView message;
    message.payload = {buffer.get(), payload.size()};
    message.topic = {buffer.get() + payload.size() + Record::kPaddingBytes, topic.size()};
    return {m2b::SpoolId{1}, std::move(buffer), message};
  }

  std::variant<Object, Rejection> decode(std::string_view payload,
                                         std::string_view topic = "ia/rawImage/tx/cam") {
    Decoder decoder(kMaxMessageBytes);
    return decoder.decode(record_of(payload, topic));
  }

  Object object_of(std::string_view payload) {
    auto result = decode(payload);
    if (const auto* rejection = std::get_if<Rejection>(&result)) FAIL(rejection->detail);
    return std::get<Object>(std::move(result));
  }

  /// "reason: detail", or "accepted".
  std::string verdict(std::string_view payload) {
    const auto result = decode(payload);
    const auto* const rejection = std::get_if<Rejection>(&result);
    if (rejection == nullptr) return "accepted";
    return fmt::format("{}: {}", m2b::to_string(rejection->reason), rejection->detail);
  }

  std::string value_of(const Object& object, std::string_view name) {
    for (const auto& [each, value] : object.metadata) {
      if (each == name) return value;
    }
    return {};
  }

  using Fields = std::vector<std::pair<std::string, std::string>>;

  /// A message whose fields can be replaced or taken away; values are JSON text.
  class Message {
   public:
    Message& image(std::string_view name, std::string_view json) {
      put(image_, name, json);
      return *this;
    }
    Message& top(std::string_view name, std::string_view json) {
      put(top_, name, json);
      return *this;
    }
    Message& without(std::string_view name) {
      const auto is_it = [name](const auto& field) { return field.first == name; };
      std::erase_if(image_, is_it);
      std::erase_if(top_, is_it);
      return *this;
    }
    [[nodiscard]] std::string json() const {
      Fields all = top_;
      for (auto& [name, value] : all) {
        if (value == "IMAGE") value = join(image_);
      }
      return join(all);
    }

   private:
    static void put(Fields& fields, std::string_view name, std::string_view json) {
      for (auto& [each, value] : fields) {
        if (each == name) {
          value = json;
          return;
        }
      }
      fields.emplace_back(name, json);
    }
    static std::string join(const Fields& fields) {
      std::string text = "{";
      for (const auto& [name, value] : fields) {
        if (text.size() > 1) text += ',';
        text.append("\"").append(name).append("\":").append(value);
      }
      return text + "}";
    }

    Fields image_{{"image_id", R"("cam_1")"},
                  {"image_bytes", R"("/9j/4A==")"},
                  {"image_height", "800"},
                  {"image_width", "1203"},
                  {"image_channels", "3"}};
    Fields top_{{"timestamp_ms", "1635351550897"}, {"image", "IMAGE"}};
  };

  TEST_CASE("a message becomes an object with key, body, content type and metadata") {
    const Object object = object_of(Message().json());
    CHECK(object.key.str() == "cam_1.jpg");
    CHECK(object.body == "\xFF\xD8\xFF\xE0");
    CHECK(object.content_type == "image/jpeg");
    CHECK(object.metadata == Metadata{{"timestamp_ms", "1635351550897"},
                                      {"image_id", "cam_1"},
                                      {"image_height", "800"},
                                      {"image_width", "1203"},
                                      {"image_channels", "3"},
                                      {"mqtt_topic", "ia/rawImage/tx/cam"}});
  }

  TEST_CASE("one decoder gives the same object again and again, bad messages in between") {
    Decoder decoder(kMaxMessageBytes);
    const Record good = record_of(Message().json(), "t");
    const Record bad = record_of("{\"timestamp_ms\":1,", "t");
    for (int round = 0; round < 3; ++round) {
      CHECK(std::get<Object>(decoder.decode(good)).key.str() == "cam_1.jpg");
      CHECK(std::holds_alternative<Rejection>(decoder.decode(bad)));
    }
  }

  TEST_CASE("white space, any key order and unknown keys are fine") {
    const Object object = object_of(R"( {
      "unknown": [1, {"image_id": "no"}, null], "image": {
        "image_width" : 2, "extra" : {"deep": [[]]}, "image_channels": 1, "image_height": 4,
        "image_bytes": "QUJD", "image_id": "x" }, "timestamp_ms": 5, "zz": true
    } )");
    CHECK(object.key.str() == "x.jpg");
    CHECK(object.body == "ABC");
    CHECK(value_of(object, "image_width") == "2");
  }

  TEST_CASE("the misspelt image_heigth is accepted, the right spelling wins") {
    CHECK(value_of(object_of(Message().without("image_height").image("image_heigth", "7").json()),
                   "image_height") == "7");
    CHECK(value_of(object_of(Message().image("image_heigth", "7").json()), "image_height") ==
          "800");
    CHECK(value_of(object_of(Message().image("image_heigth", "\"wrong\"").json()),
                   "image_height") == "800");
    CHECK(verdict(Message().without("image_height").json()) ==
          "missing_field: image.image_height: missing");
  }

  TEST_CASE("of two fields with the same name the last one counts") {
    CHECK(value_of(object_of(R"({"timestamp_ms":1,"timestamp_ms":2,"image":{"image_id":"a",
        "image_bytes":"","image_height":1,"image_width":1,"image_channels":1}})"),
                   "timestamp_ms") == "2");
    const Object inner = object_of(R"({"timestamp_ms":1,"image":{"image_id":"a","image_id":"b",
        "image_bytes":"!","image_bytes":"QUJD","image_height":"x","image_height":1,"image_width":1,
        "image_channels":1}})");
    CHECK(inner.key.str() == "b.jpg");
    CHECK(inner.body == "ABC");
    const Object outer = object_of(R"({"timestamp_ms":1,"image":5,"image":{"image_id":"c",
        "image_bytes":"","image_height":1,"image_width":1,"image_channels":1}})");
    CHECK(outer.key.str() == "c.jpg");
    CHECK(verdict(R"({"timestamp_ms":1,"image":{"image_id":"c","image_bytes":"","image_height":1,
        "image_width":1,"image_channels":1},"image":5})") ==
          "wrong_type: image: expected an object, found an integer");
  }

  TEST_CASE("a byte order mark in front is skipped") {
    CHECK(verdict("\xEF\xBB\xBF" + Message().json()) == "accepted");
    CHECK(verdict("\xEF\xBB\xBF\xEF\xBB\xBF" + Message().json()).starts_with("not_json: "));
    CHECK(verdict("\xEF\xBB\xBF").starts_with("not_json: "));
  }

  TEST_CASE("escapes in names and values are resolved") {
    const Object object = object_of(
        Message().without("image_id").image("image\\u005fid", R"("caf\u00e9\/1")").json());
    CHECK(object.key.str() == "café/1.jpg");
    CHECK(object_of(Message().image("image_bytes", R"("\/9j\/4A==")").json()).body ==
          "\xFF\xD8\xFF\xE0");
  }

  TEST_CASE("an empty image is an empty body") {
    const Object object = object_of(Message().image("image_bytes", "\"\"").json());
    CHECK(object.body.empty());
    CHECK(object.content_type == "application/octet-stream");
  }

  TEST_CASE("integers have the range of 64 bits, with and without sign") {
    for (const std::string_view number :
         {"0", "-5", "9223372036854775807", "-9223372036854775808", "18446744073709551615"}) {
      CAPTURE(number);
      CHECK(value_of(object_of(Message().top("timestamp_ms", number).json()), "timestamp_ms") ==
            number);
    }
    for (const std::string_view number :
         {"18446744073709551616", "-9223372036854775809", "123456789012345678901234567890", "1.0",
          "1e3", "1E400", "-0.0"}) {
      CAPTURE(number);
      CHECK(verdict(Message().top("timestamp_ms", number).json()) ==
            "wrong_type: timestamp_ms: expected an integer, found a number that is no 64-bit "
            "integer");
    }
  }

  TEST_CASE("a number beyond 64 bits in an unknown field does no harm") {
    for (const std::string_view number :
         {"123456789012345678901234567890", "-1E400", "[1e999, 99999999999999999999]"}) {
      CAPTURE(number);
      const Object object = object_of(Message()
                                          .top("serial", number)
                                          .top("timestamp_ms", "18446744073709551615")
                                          .image("image_id", R"("\"1e999\\")")
                                          .json());
      CHECK(value_of(object, "timestamp_ms") == "18446744073709551615");
      CHECK(object.key.str() == "\"1e999\\.jpg");
    }
  }

  TEST_CASE("numbers that break the grammar are no JSON") {
    for (const std::string_view number :
         {"01", "-", "1.", ".5", "1e", "1e+", "+1", "0x10", "1_000", "nan", "-NaN", "--1", "1.5.5",
          "99999999999999999999.", "099999999999999999999"}) {
      CAPTURE(number);
      CHECK(verdict(Message().top("serial", number).json()).starts_with("not_json: "));
    }
  }

  TEST_CASE("NaN and infinity do no harm in a foreign field, and are named in one of ours") {
    for (const std::string_view number : {"NaN", "Infinity", "-Infinity"}) {
      CAPTURE(number);
      CHECK(verdict(Message().top("exposure_us", number).json()) == "accepted");
      CHECK(verdict(Message().image("image_width", number).top("x", "1.5").json()) ==
            fmt::format("wrong_type: image.image_width: expected an integer, found {}", number));
      CHECK(verdict(Message().image("image_width", "0.1").top("x", number).json()) ==
            "wrong_type: image.image_width: expected an integer, found a number that is no 64-bit "
            "integer");
      CHECK(verdict(Message().image("image_id", number).json()) ==
            fmt::format("wrong_type: image.image_id: expected a string, found {}", number));
    }
  }

  TEST_CASE("a lone surrogate does no harm in a foreign field, and is named in the id") {
    for (const std::string_view text : {R"("\ud83d")", "\"\xED\xA0\xBD\""}) {
      CHECK(verdict(Message().top("note", text).json()) == "accepted");
      CHECK(verdict(Message().image("image_id", text).json()) ==
            "bad_key: image.image_id: lone surrogate U+D83D at byte 0, which no UTF-8 can hold");
    }
    CHECK(verdict(Message().image("image_id", R"("cam_\udc00")").json()) ==
          "bad_key: image.image_id: lone surrogate U+DC00 at byte 4, which no UTF-8 can hold");
    const Object object = object_of(
        Message().top("note", R"("\ud83d")").image("image_id", R"("\ud83d\ude00")").json());
    CHECK(object.key.str() == "\U0001f600.jpg");
  }

  TEST_CASE("trailing NULs are ignored") {
    CHECK(object_of(Message().json() + "\0"s).key.str() == "cam_1.jpg");
    CHECK(object_of(Message().json() + "\n\0\0\0"s).key.str() == "cam_1.jpg");
  }

  std::string utf16(std::string_view ascii) {
    std::string bytes = "\xFF\xFE";
    for (const char character : ascii) bytes.append({character, '\0'});
    return bytes;
  }

  TEST_CASE("UTF-16 is converted, and faults have their place in the payload") {
    CHECK(object_of(utf16(Message().json())).body == "\xFF\xD8\xFF\xE0");
    CHECK(verdict(utf16("{\"a\": nan}")) ==
          "not_json: UTF-16 (little endian): expected a value, found 'n', at byte 14");
    CHECK(verdict(utf16("{}") + "x") ==
          "not_json: UTF-16 (little endian): the last character is cut off, at byte 6");
    CHECK(verdict(utf16(Message().image("image_bytes", R"("QUJD\n")").json())) ==
          "bad_base64: image.image_bytes: a line break (0x0A) behind the base64 text, at byte 4");
  }

  TEST_CASE("data that is no JSON is named") {
    CHECK(verdict("\xFF\xD8\xFF\xE0 and more") ==
          "not_json: a JPEG image instead of JSON, at byte 0");
    CHECK(verdict("\x1F\x8B\x08\0\0"s) == "not_json: gzip data instead of JSON, at byte 0");
    CHECK(verdict("\0\0\0\x18"
                  "ftypmp42"s) == "not_json: an MP4 video instead of JSON, at byte 0");
    CHECK(verdict("\xEF\xBB\xBF /9j/4AAQ") ==
          "not_json: the base64 text of a JPEG image instead of JSON, at byte 3");
    CHECK(verdict("hello") == "not_json: expected a value, found 'h', at byte 0");
    CHECK(verdict("") == "not_json: expected a value, found the end of the text, at byte 0");
  }

  TEST_CASE("every field must be there") {
    const std::vector<std::pair<std::string_view, std::string_view>> fields{
        {"timestamp_ms", "timestamp_ms"},
        {"image", "image"},
        {"image_id", "image.image_id"},
        {"image_bytes", "image.image_bytes"},
        {"image_height", "image.image_height"},
        {"image_width", "image.image_width"},
        {"image_channels", "image.image_channels"}};
    for (const auto& [name, path] : fields) {
      CHECK(verdict(Message().without(name).json()) ==
            fmt::format("missing_field: {}: missing", path));
    }
    CHECK(verdict("{}") == "missing_field: timestamp_ms: missing");
  }

  TEST_CASE("every field must have its type, and a boolean is no integer") {
    const std::vector<std::pair<std::string_view, std::string_view>> wrong_for_integer{
        {"\"800\"", "a string"}, {"true", "a boolean"},
        {"null", "null"},        {"[800]", "an array"},
        {"{}", "an object"},     {"1.0", "a number that is no 64-bit integer"}};
    for (const std::string_view name : {"image_height", "image_width", "image_channels"}) {
      for (const auto& [json, found] : wrong_for_integer) {
        CHECK(verdict(Message().image(name, json).json()) ==
              fmt::format("wrong_type: image.{}: expected an integer, found {}", name, found));
      }
    }
    for (const std::string_view name : {"image_id", "image_bytes"}) {
      CHECK(verdict(Message().image(name, "17").json()) ==
            fmt::format("wrong_type: image.{}: expected a string, found an integer", name));
      CHECK(verdict(Message().image(name, "null").json()) ==
            fmt::format("wrong_type: image.{}: expected a string, found null", name));
    }
    CHECK(verdict(Message().top("timestamp_ms", "\"1\"").json()) ==
          "wrong_type: timestamp_ms: expected an integer, found a string");
    CHECK(verdict(Message().top("image", "[]").json()) ==
          "wrong_type: image: expected an object, found an array");
    CHECK(verdict("[]") == "wrong_type: document: expected an object, found an array");
    CHECK(verdict("null") == "wrong_type: document: expected an object, found null");
    CHECK(verdict("5") == "wrong_type: document: expected an object, found an integer");
  }

  TEST_CASE("what is not one whole JSON document in UTF-8 is refused as such") {
    const std::string good = Message().json();
    for (const std::string& payload : {
             ""s,
             " \r\n"s,
             "hello"s,
             "\xFF\xD8\xFF\xE0 a JPEG without JSON"s,
             "\0"s,
             good.substr(0, good.size() - 1),                        // cut
             good.substr(0, good.size() / 2),                        // cut within the image
             good + "x",                                             // trailing bytes
             good + good,                                            // two documents
             good + "\0\n"s,                                         // a line break behind a NUL
             "\0"s + good,                                           // a NUL in front
             "{" + good,                                             // an open brace too many
             "{\"timestamp_ms\":1,}"s,                               // trailing comma
             "{'timestamp_ms':1}"s,                                  // Python's quotes
             Message().image("image_id", "\"caf\xE9\"").json(),      // Latin-1
             Message().image("image_id", "\"line\nbreak\"").json(),  // raw control character
             Message().image("image_id", "\"\\x\"").json(),          // no such escape
             Message().top("extra", "tru").json(),
             Message().top("extra", "\"\xC0\xAF\"").json(),  // also where nobody reads
         }) {
      CAPTURE(payload);
      CHECK(verdict(payload).starts_with("not_json: "));
    }
  }

  TEST_CASE("a document cut at any byte is refused, never misread") {
    const std::string good = Message().json();
    for (std::size_t length = 0; length < good.size(); ++length) {
      REQUIRE(verdict(std::string_view(good).substr(0, length)).starts_with("not_json: "));
    }
  }

  TEST_CASE("deep nesting is refused") {
    // The object around counts, an empty array does not.
    const auto nested = [](std::size_t depth, std::string_view inner, std::string_view other) {
      return Message()
          .top("extra", std::string(depth, '[').append(inner) + std::string(depth, ']'))
          .top("other", other)
          .json();
    };
    for (const std::string_view other : {"1", "NaN"}) {
      CAPTURE(other);
      CHECK(verdict(nested(1022, "1", other)) == "accepted");
      CHECK(verdict(nested(1022, "[ ]", other)) == "accepted");
      CHECK(verdict(nested(1022, "[1]", other))
                .starts_with("not_json: more than 1023 arrays and objects within one another"));
      CHECK(verdict(nested(1'000'000, "", other)).starts_with("not_json: more than 1023 "));
    }
    CHECK(verdict(std::string(1'000'000, '[')).starts_with("not_json: "));
  }

  TEST_CASE("base64 is strict") {
    const std::vector<std::pair<std::string_view, std::string_view>> bad{
        {"QU=D", "padding before the end, at byte 2"},
        {"QQ==QUJD", "padding before the end, at byte 2"},
        {"QUJ", "wrong padding at the end of 3 characters"},
        {"QQ", "wrong padding at the end of 2 characters"},
        {"QQ=", "wrong padding at the end of 3 characters"},
        {"====", "wrong padding at the end of 4 characters"},
        {"QUJD====", "wrong padding at the end of 8 characters"},
        {"Q", "wrong padding at the end of 1 characters"},
        {"QUJD QUJ", "white space (0x20) within the base64 text, at byte 4"},
        {" QUJD", "white space (0x20) before the base64 text, at byte 0"},
        {R"(QUJD\n)", "a line break (0x0A) behind the base64 text, at byte 4"},
        {R"(QUI=\r\n)", "a line break (0x0D) behind the base64 text, at byte 4"},
        {R"(QUJD\r\nQUJD)", "a line break (0x0D) within the base64 text, at byte 4"},
        {R"(QUJD\u0000)", "a NUL (0x00) behind the base64 text, at byte 4"},
        {"QUJ-", "'-' of the URL-safe alphabet, at byte 3"},
        {"QUJ_", "'_' of the URL-safe alphabet, at byte 3"},
        {"QUJé", "the byte 0xC3 is not of the alphabet, at byte 3"},
        {R"(QUJ\ud800)", "the byte 0xED is not of the alphabet, at byte 3"},
        {"b'QUJD'", "Python's b'...' notation, at byte 0"},
        {"data:image/jpeg;base64,QUJD", "a data: URL, at byte 0"}};
    for (const auto& [text, why] : bad) {
      CHECK(verdict(Message().image("image_bytes", fmt::format("\"{}\"", text)).json()) ==
            fmt::format("bad_base64: image.image_bytes: {}", why));
    }
    for (const auto& [text, bytes] :
         std::vector<std::pair<std::string_view, std::string>>{{"QQ==", "A"},
                                                               {"QUI=", "AB"},
                                                               {"QUJD", "ABC"},
                                                               {"AAAA", "\0\0\0"s},
                                                               {"+/+/", "\xFB\xFF\xBF"}}) {
      CHECK(object_of(Message().image("image_bytes", fmt::format("\"{}\"", text)).json()).body ==
            bytes);
    }
  }

  TEST_CASE("an id that can be no key is refused with the reason") {
    CHECK(verdict(Message().image("image_id", "\"\"").json()) == "bad_key: image.image_id: empty");
    CHECK(verdict(Message().image("image_id", R"("a\u0000b")").json()) ==
          "bad_key: image.image_id: control character 0x00 at byte 1");
    CHECK(verdict(Message().image("image_id", R"("a\r\nb")").json()) ==
          "bad_key: image.image_id: control character 0x0D at byte 1");
  }

  TEST_CASE("a message over the limit is too large, one at the limit is not") {
    const std::string payload = Message().json();
    Decoder at_limit(payload.size());
    CHECK(std::holds_alternative<Object>(at_limit.decode(record_of(payload, "t"))));
    Decoder below(payload.size() - 1);
    const auto result = below.decode(record_of(payload, "t"));
    CHECK(std::get<Rejection>(result).reason == DeadLetterReason::too_large);
    CHECK(std::get<Rejection>(result).detail ==
          fmt::format("{} bytes; at most {} allowed", payload.size(), payload.size() - 1));
  }

  TEST_CASE("the first fault in the order of the rules is the reason") {
    Decoder small(10);
    CHECK(std::get<Rejection>(small.decode(record_of("no JSON, and too long", "t"))).reason ==
          DeadLetterReason::too_large);
    // Missing field before bad base64 before bad key.
    CHECK(verdict(Message()
                      .without("image_channels")
                      .image("image_bytes", "\"!\"")
                      .image("image_id", "\"\"")
                      .json())
              .starts_with("missing_field: "));
    CHECK(verdict(Message().image("image_bytes", "\"!\"").image("image_id", "\"\"").json())
              .starts_with("bad_base64: "));
  }

  TEST_CASE("details never hold the payload") {
    const std::string secret(5'000, 'S');
    for (const std::string& payload :
         {secret, "\"" + secret + "\"",
          Message().image("image_bytes", "\"-" + secret + "\"").json(),
          Message().image("image_id", "\"" + secret + "\"").json(),
          Message().image("image_height", "\"" + secret + "\"").json()}) {
      const std::string detail = verdict(payload);
      CHECK(detail != "accepted");
      CHECK(detail.size() < 200);
    }
  }

  TEST_CASE("a large picture comes through byte by byte, small ones after it") {
    Decoder decoder(kMaxMessageBytes);
    const std::string large =
        Message().image("image_bytes", "\"" + std::string(8'000'000, 'A') + "\"").json();
    const auto result = decoder.decode(record_of(large, "t"));
    CHECK(std::get<Object>(result).body == std::string(6'000'000, '\0'));
    CHECK(std::holds_alternative<Object>(decoder.decode(record_of(Message().json(), "t"))));
  }

  TEST_CASE("a message of many MiB is read by the same rules") {
    constexpr std::size_t kCharacters = std::size_t{6} << 20U;
    const std::string text(kCharacters, 'Q');
    const std::string body(kCharacters / 4 * 3, '\0');
    const auto with_text = [](const std::string& image_bytes) {
      return Message().image("image_bytes", "\"" + image_bytes + "\"").json();
    };
    const Object object = object_of(with_text(text));
    CHECK(object.body.size() == body.size());
    CHECK(object.body.substr(0, 3) == "A\x04\x10");
    std::string escaped = text;
    escaped.replace(1000, 1, "\\/");
    escaped += "QQ\\u002B=";
    CHECK(object_of(with_text(escaped)).body.size() == body.size() + 2);

    CHECK(verdict(with_text(text + "Q")) ==
          fmt::format("bad_base64: image.image_bytes: wrong padding at the end of {} characters",
                      kCharacters + 1));
    std::string bad = text;
    bad[5'000'000] = '-';
    CHECK(verdict(with_text(bad)) ==
          "bad_base64: image.image_bytes: '-' of the URL-safe alphabet, at byte 5000000");
    bad = text;
    bad[(1U << 20U) - 1] = '=';  // at the end of a block
    CHECK(verdict(with_text(bad)) ==
          "bad_base64: image.image_bytes: padding before the end, at byte 1048575");
    bad = text;
    bad[5'000'000] = '\n';
    const std::string front = with_text("");
    const std::size_t start = front.find(R"("image_bytes":")") + 15;
    CHECK(verdict(with_text(bad)) ==
          fmt::format("not_json: a line break (0x0A) in a string, where JSON needs \\n, at byte {}",
                      start + 5'000'000));
    CHECK(verdict(with_text(text) + "x") ==
          fmt::format("not_json: expected the end of the text, found 'x', at byte {}",
                      front.size() + text.size()));
    CHECK(verdict("\xFF\xD8\xFF\xE0" + text) ==
          "not_json: a JPEG image instead of JSON, at byte 0");
    CHECK(verdict(with_text("")) == "accepted");

    std::string many = R"({"x":[)";
    for (std::size_t at = 0; at < kCharacters; at += 2) many += "1,";
    CHECK(verdict(many + "1]}") ==
          "too_large: more than 4194304 bytes of JSON besides its long strings");
  }

  TEST_CASE("a record that is given away gives the same object") {
    const std::string json =
        Message().image("image_bytes", "\"" + std::string(6U << 20U, 'Q') + "\"").json();
    Decoder decoder(kMaxMessageBytes);
    const Record kept = record_of(json, "t");
    const auto first = decoder.decode(kept);
    const auto second = decoder.decode(kept);
    const auto third = decoder.decode(record_of(json, "t"));
    CHECK(std::get<Object>(first).body == std::get<Object>(second).body);
    CHECK(std::get<Object>(first).body == std::get<Object>(third).body);
    // Its memory is given up while it is converted.
    const auto fourth = decoder.decode(record_of(utf16(json), "t"));
    CHECK(std::get<Object>(first).body == std::get<Object>(fourth).body);
  }

  TEST_CASE("any single byte changed is either refused or an object, never a crash") {
    const std::string good = Message().json();
    Decoder decoder(kMaxMessageBytes);
    for (std::size_t at = 0; at < good.size(); ++at) {
      for (const char byte : "\0\"\\{},9\x80\xFF"s) {
        std::string changed = good;
        changed[at] = byte;
        const auto result = decoder.decode(record_of(changed, "t"));
        const bool decided =
            std::holds_alternative<Object>(result) || std::holds_alternative<Rejection>(result);
        REQUIRE(decided);
      }
    }
  }
}

}  // namespace
