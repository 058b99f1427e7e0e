#pragma once

#include <cstddef>
#include <memory>
#include <string_view>

#include "http/http_message.hpp"

namespace m2b {

/// Assembles one HTTP/1.x request from the bytes of a connection (RFC 9112). Does no I/O. Takes a
/// body of a length that is declared beforehand, and nothing that needs decoding: no transfer
/// coding, no content coding. For one thread.
class RequestReader {
 public:
  enum class Progress { incomplete, complete, refused };

  /// The request line with the header section, and the body, may have so many bytes.
  RequestReader(std::size_t max_header_bytes, std::size_t max_body_bytes);
  RequestReader(RequestReader&&) noexcept;
  RequestReader& operator=(RequestReader&&) noexcept;
  ~RequestReader();

  /// The next bytes of the connection. After `complete` and `refused` no more are given; what
  /// follows the request is ignored.
  [[nodiscard]] Progress take(std::string_view bytes);

  /// Whether the client waits for `100 Continue` before it sends the body (RFC 9110, section
  /// 10.1.1). True once.
  [[nodiscard]] bool wants_continue() noexcept;
  /// Whether the request is known to be a HEAD, whose answer has no body.
  [[nodiscard]] bool is_head() const;

  /// After `complete`.
  [[nodiscard]] HttpRequest request() &&;
  /// After `refused`: 400, 411, 413, 415 or 431.
  [[nodiscard]] HttpResponse refusal() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace m2b
