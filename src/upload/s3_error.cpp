#include <algorithm>
#include <array>
#include <cstddef>
#include <utility>

#include "m2b/upload/put_outcome.hpp"
#include "m2b/util/ascii.hpp"

namespace m2b {
namespace {

constexpr std::size_t kMaxCodeBytes = 64;

std::string_view without_leading_blanks(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of(" \t\r\n"), text.size()));
  return text;
}

/// The text behind the XML declaration, if there is one.
std::string_view without_prolog(std::string_view text) {
  constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
  constexpr std::string_view kDeclarationEnd = "?>";
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  text = without_leading_blanks(text);
  if (!text.starts_with("<?xml")) return text;
  const std::size_t end = text.find(kDeclarationEnd);
  if (end == std::string_view::npos) return {};
  return without_leading_blanks(text.substr(end + kDeclarationEnd.size()));
}

/// Whether the document's outermost element has that name.
bool has_root(std::string_view body, std::string_view name) {
  std::string_view document = without_prolog(body);
  if (!document.starts_with('<')) return false;
  document.remove_prefix(1);
  if (!document.starts_with(name)) return false;
  document.remove_prefix(name.size());
  return !document.empty() &&
         std::string_view(" \t\r\n/>").find(document.front()) != std::string_view::npos;
}

/// What stands between the first <name> and the </name> behind it, still escaped.
std::string_view element(std::string_view document, std::string_view open, std::string_view close) {
  const std::size_t start = document.find(open);
  if (start == std::string_view::npos) return {};
  const std::string_view rest = document.substr(start + open.size());
  const std::size_t end = rest.find(close);
  return end == std::string_view::npos ? std::string_view{} : rest.substr(0, end);
}

/// Resolves the five named entities of XML; leaves everything else as it is.
std::string unescape(std::string_view text) {
  constexpr std::array<std::pair<std::string_view, char>, 5> kEntities{
      {{"&lt;", '<'}, {"&gt;", '>'}, {"&amp;", '&'}, {"&quot;", '"'}, {"&apos;", '\''}}};
  std::string plain;
  plain.reserve(text.size());
  while (!text.empty()) {
    const auto* const entity =
        std::find_if(kEntities.begin(), kEntities.end(),
                     [text](const auto& each) { return text.starts_with(each.first); });
    if (entity != kEntities.end()) {
      plain += entity->second;
      text.remove_prefix(entity->first.size());
    } else {
      plain += text.front();
      text.remove_prefix(1);
    }
  }
  return plain;
}

bool looks_like_code(std::string_view code) {
  constexpr std::string_view kAllowed =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
  return !code.empty() && code.size() <= kMaxCodeBytes &&
         code.find_first_not_of(kAllowed) == std::string_view::npos;
}

}  // namespace

bool looks_like_s3_error(std::string_view body) { return has_root(body, "Error"); }

bool may_be_s3_body(std::string_view body) {
  constexpr std::string_view kPage = "html";
  std::string_view document = without_prolog(body);
  if (document.empty()) return true;
  if (!document.starts_with('<')) return false;
  document.remove_prefix(1);  // what follows in a page is its name, or `!DOCTYPE`
  return !document.starts_with('!') && !is_ascii_word(document.substr(0, kPage.size()), kPage);
}

bool is_bucket_location(std::string_view body) { return has_root(body, "LocationConstraint"); }

S3Error parse_s3_error(std::string_view body) {
  if (!looks_like_s3_error(body)) return {};
  const std::string_view document = without_prolog(body);
  const std::string_view code = element(document, "<Code>", "</Code>");
  if (!looks_like_code(code)) return {};
  return {std::string(code), unescape(element(document, "<Message>", "</Message>")),
          unescape(element(document, "<RequestId>", "</RequestId>"))};
}

}  // namespace m2b
