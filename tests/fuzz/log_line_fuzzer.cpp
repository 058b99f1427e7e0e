// util/log, util/visible, control/documents: nothing that a publisher or a store sends can forge a
// line of the log or move the cursor of the terminal that shows it.

#include <fuzzer/FuzzedDataProvider.h>

#include <cstdint>
#include <string>

#include "control/documents.hpp"
#include "fuzz/checks.hpp"
#include "m2b/util/log.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace m2b;
  using fuzz::require;
  FuzzedDataProvider input(data, size);
  const std::string topic = input.ConsumeRandomLengthString(500);
  const std::string detail = input.ConsumeRemainingBytesAsString();

  const std::string line = log::format_line(log::Level::warning, "area", "sentence",
                                            {{"topic", topic}, {"detail", detail}, {"last", 1}});
  require(fuzz::is_one_visible_line(line), "a log line is one visible line");
  require(line.starts_with("WARNING  area: sentence topic="), "it begins as every line does");
  require(line.ends_with(" last=1"), "no fact ends before its time");

  for (const std::string& text : {topic, detail}) {
    require(fuzz::is_one_visible_line(visible(text)), "what is shown is visible");
    const bool harmless = fuzz::is_one_visible_line(text);
    require(harmless == (visible(text) == text), "what is harmless stays as it is");
  }

  const LetterInfo letter{{.id = SpoolId{1}, .readable = true, .topic = topic},
                          {DeadLetterReason::not_json, detail},
                          {}};
  const std::string json = documents::line_of(documents::of(letter));
  require(fuzz::is_one_visible_line(json), "a line of JSON is one visible line");
  const LetterInfo read = documents::letter_of(documents::Json::parse(json));
  require(!is_utf8(topic) || read.record.topic == topic, "JSON tells the topic as it was");
  require(!is_utf8(detail) || read.rejection.detail == detail, "JSON tells the detail as it was");
  return 0;
}
