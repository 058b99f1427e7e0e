#include "http/request_reader.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>

#include <cstdint>
#include <iterator>
#include <string>
#include <utility>

#include "m2b/util/ascii.hpp"

namespace m2b {
namespace {

namespace http = boost::beast::http;

/// A browser sends about twenty. Many tiny fields take much more memory than their bytes.
constexpr std::ptrdiff_t kMaxFields = 100;

std::string_view std_view(boost::beast::string_view text) { return {text.data(), text.size()}; }

}  // namespace

class RequestReader::Impl {
 public:
  Impl(std::size_t max_header_bytes, std::size_t max_body_bytes) {
    parser_.header_limit(static_cast<std::uint32_t>(max_header_bytes));
    parser_.body_limit(max_body_bytes);
    // The header is looked at before anything of the body is taken. Besides, Boost 1.74 forgets the
    // limit of a body that comes along with its header.
    parser_.eager(false);
  }

  Progress take(std::string_view bytes) {
    waiting_.append(bytes);
    std::size_t used = 0;
    Progress progress = Progress::incomplete;
    while (progress == Progress::incomplete && used < waiting_.size()) {
      boost::beast::error_code error;
      const std::size_t taken =
          parser_.put(boost::asio::buffer(waiting_.data() + used, waiting_.size() - used), error);
      used += taken;
      if (error == http::error::need_more) {
        progress = too_many_fields() ? refuse(431, "there are too many header fields")
                                     : Progress::incomplete;
        break;
      }
      progress = error ? refuse(error) : look();
    }
    waiting_.erase(0, used);
    return progress;
  }

  bool wants_continue() noexcept { return std::exchange(wants_continue_, false); }
  [[nodiscard]] bool is_head() const {
    return parser_.is_header_done() && parser_.get().method() == http::verb::head;
  }

  HttpRequest request() {
    auto message = parser_.release();
    const std::string_view target = std_view(message.target());
    const std::size_t mark = target.find('?');
    HttpRequest request{
        .method = std::string(std_view(message.method_string())),
        .path = std::string(target.substr(0, mark)),
        .query = std::string(mark == std::string_view::npos ? "" : target.substr(mark + 1))};
    for (const auto& field : message) {
      request.fields.push_back(
          {std::string(std_view(field.name_string())), std::string(std_view(field.value()))});
    }
    request.body = std::move(message.body());
    return request;
  }

  [[nodiscard]] HttpResponse refusal() const { return http_refusal(status_, reason_); }

 private:
  Progress refuse(int status, std::string_view reason) {
    status_ = status;
    reason_ = reason;
    return Progress::refused;
  }

  Progress refuse(const boost::beast::error_code& error) {
    if (error == http::error::header_limit) {
      return refuse(431, "the header is too large");
    }
    if (error == http::error::body_limit) {
      return refuse(413, "the body is too large");
    }
    return refuse(400, "this is no HTTP/1.1 request");
  }

  [[nodiscard]] bool too_many_fields() const {
    const auto& fields = parser_.get();
    return std::distance(fields.begin(), fields.end()) > kMaxFields;
  }

  /// After each step of the parser: what a parser takes, but a server should not.
  Progress look() {
    if (!parser_.is_header_done()) {
      return Progress::incomplete;
    }
    if (!has_looked_) {
      has_looked_ = true;
      if (const Progress progress = look_at_header(); progress == Progress::refused) {
        return progress;
      }
    }
    return parser_.is_done() ? Progress::complete : Progress::incomplete;
  }

  Progress look_at_header() {
    const auto& message = parser_.get();
    if (too_many_fields()) {
      return refuse(431, "there are too many header fields");
    }
    if (message.count(http::field::transfer_encoding) > 0) {
      return refuse(411, "the body must have a Content-Length");
    }
    // Beast takes lists of equal lengths.
    const std::string_view length = std_view(message[http::field::content_length]);
    if (message.count(http::field::content_length) > 1 ||
        length.find_first_not_of("0123456789") != std::string_view::npos) {
      return refuse(400, "Content-Length must be one number");
    }
    // Who is asked decides what is shown (Access): there must be no two answers to that.
    if (message.count(http::field::host) > 1 || message.count(http::field::authorization) > 1 ||
        message.count(http::field::origin) > 1) {
      return refuse(400, "Host, Authorization and Origin may be given once");
    }
    const std::string_view coding = std_view(message[http::field::content_encoding]);
    if (message.count(http::field::content_encoding) > 1 ||
        (!coding.empty() && !is_ascii_word(coding, "identity"))) {
      return refuse(415, "the body must not be encoded");
    }
    wants_continue_ = !parser_.is_done() && message.version() >= 11 &&
                      is_ascii_word(std_view(message[http::field::expect]), "100-continue");
    return Progress::incomplete;
  }

  http::request_parser<http::string_body> parser_;
  std::string waiting_;  // bytes that the parser has not taken yet
  bool has_looked_ = false;
  bool wants_continue_ = false;
  int status_ = 400;
  std::string_view reason_;
};

RequestReader::RequestReader(std::size_t max_header_bytes, std::size_t max_body_bytes)
    : impl_(std::make_unique<Impl>(max_header_bytes, max_body_bytes)) {}

RequestReader::RequestReader(RequestReader&&) noexcept = default;
RequestReader& RequestReader::operator=(RequestReader&&) noexcept = default;
RequestReader::~RequestReader() = default;

RequestReader::Progress RequestReader::take(std::string_view bytes) { return impl_->take(bytes); }

bool RequestReader::wants_continue() noexcept { return impl_->wants_continue(); }

bool RequestReader::is_head() const { return impl_->is_head(); }

HttpRequest RequestReader::request() && { return impl_->request(); }

HttpResponse RequestReader::refusal() const { return impl_->refusal(); }

}  // namespace m2b
