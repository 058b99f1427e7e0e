#pragma once

#include <array>
#include <chrono>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "m2b/upload/store_context.hpp"
#include "upload/curl.hpp"
#include "upload/head_answer.hpp"

namespace m2b {

/// What a round of HEAD requests brought.
struct HeadRound {
  std::vector<HeadAnswer> answers;  // in the order of the requests; all of them if `failure` is OK
  CURLcode failure = CURLE_OK;
  std::string failure_text;
};

/// Many HEAD requests for the price of a round trip: they go out over one kept-alive connection
/// without waiting for the answers to those before (HTTP/1.1 pipelining, RFC 9112 section 9.3.2),
/// TLS or not. libcurl only connects; it cannot pipeline any more. Belongs to one thread.
class PipelinedHeads final {
 public:
  /// `origin` is scheme, host and port; the context outlives this.
  PipelinedHeads(std::string origin, StoreContext& context);
  PipelinedHeads(const PipelinedHeads&) = delete;
  PipelinedHeads& operator=(const PipelinedHeads&) = delete;

  /// Each of the requests is whole, with the empty line at its end. Blocks until all are answered,
  /// the connection fails or `abort` is requested (noticed within a second); at most connect and
  /// stall timeout together, and another connect timeout while connecting. A connection that the
  /// server closes is replaced, and what it has not answered is asked again, for as long as each
  /// answered something.
  [[nodiscard]] HeadRound ask(std::span<const std::string> requests, const std::stop_token& abort);

 private:
  using Clock = std::chrono::steady_clock;

  /// A connection and what we know of it.
  struct Link {
    curl::Slist connect_to;  // the handle borrows from it
    curl::EasyHandle easy;
    curl_socket_t socket = CURL_SOCKET_BAD;
    std::string received;    // and not yet read as an answer
    bool answered = false;   // something, ever
    bool is_second = false;  // replaces one that was closed on us
  };
  /// The requests of a round on their way.
  struct Round;

  [[nodiscard]] CURLcode connect(const std::stop_token& abort);
  [[nodiscard]] CURLcode exchange(Round& round, const std::stop_token& abort);
  void queue_requests(Round& round) const;
  /// Whether bytes went out.
  [[nodiscard]] bool send_some(Round& round);
  /// CURLE_AGAIN when there is nothing to read, CURLE_GOT_NOTHING when the server closed.
  [[nodiscard]] CURLcode receive_some(Round& round);
  [[nodiscard]] CURLcode take_answers(Round& round);
  void wait(const Round& round) const;

  const std::string origin_;
  StoreContext& context_;
  std::array<char, CURL_ERROR_SIZE> error_text_{};
  std::optional<Link> link_;
};

}  // namespace m2b
