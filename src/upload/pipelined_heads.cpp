#include "upload/pipelined_heads.hpp"

#include <poll.h>

#include <algorithm>
#include <cstddef>
#include <string_view>
#include <utility>

#include "upload/connection_options.hpp"

namespace m2b {
namespace {

/// Requests without an answer, at most: their answers fit the buffers on the way (about 64 KiB), so
/// a server that reads no more until we read cannot hold us up for ever.
constexpr std::size_t kMaxOutstanding = 64;
constexpr std::size_t kMaxHeadBytes = std::size_t{8} << 10U;
constexpr std::size_t kReadBytes = std::size_t{16} << 10U;
constexpr std::chrono::milliseconds kAbortCheck{250};
constexpr std::string_view kHeadEnd = "\r\n\r\n";

/// What a proxy says to CONNECT. libcurl would keep all of it.
std::size_t count_proxy_header(char* /*data*/, std::size_t size, std::size_t count,
                               void* bytes) noexcept {
  std::size_t& total = *static_cast<std::size_t*>(bytes);
  total += size * count;
  return total > kMaxHeadBytes ? 0 : size * count;
}

int abort_connecting(void* abort, curl_off_t, curl_off_t, curl_off_t, curl_off_t) noexcept {
  return static_cast<const std::stop_token*>(abort)->stop_requested() ? 1 : 0;
}

}  // namespace

struct PipelinedHeads::Round {
  std::span<const std::string> requests;
  Clock::time_point deadline;
  std::vector<HeadAnswer> answers;
  // Of the connection in use:
  std::size_t asked = 0;  // requests handed to `out`, from the first of the round
  std::string out;
  std::size_t sent = 0;        // of `out`
  bool can_send = true;        // false: the server takes no more, but may have answered before
  bool server_closes = false;  // it said so

  [[nodiscard]] bool complete() const { return answers.size() == requests.size(); }
  void start_again() {
    asked = answers.size();
    out.clear();
    sent = 0;
    can_send = true;
    server_closes = false;
  }
};

PipelinedHeads::PipelinedHeads(std::string origin, StoreContext& context)
    : origin_(std::move(origin)), context_(context) {}

HeadRound PipelinedHeads::ask(std::span<const std::string> requests, const std::stop_token& abort) {
  Round round;
  round.requests = requests;
  round.deadline = Clock::now() + context_.options.connect_timeout + context_.options.stall_timeout;
  round.answers.reserve(requests.size());
  HeadRound result;
  error_text_.front() = '\0';
  bool is_second = false;
  while (!round.complete() && result.failure == CURLE_OK) {
    if (!link_) {
      result.failure = connect(abort);
      if (result.failure != CURLE_OK) break;
      link_->is_second = is_second;
    }
    round.start_again();
    result.failure = exchange(round, abort);
    const bool closed = result.failure == CURLE_GOT_NOTHING || result.failure == CURLE_RECV_ERROR;
    if (closed && link_->answered) {
      result.failure = CURLE_OK;
      is_second = true;
      link_.reset();
    }
  }
  if (result.failure != CURLE_OK || round.server_closes) link_.reset();
  result.failure_text = error_text_.data();
  result.answers = std::move(round.answers);
  return result;
}

CURLcode PipelinedHeads::connect(const std::stop_token& abort) {
  if (abort.stop_requested()) return CURLE_ABORTED_BY_CALLBACK;
  Link link{{}, curl::make_easy(), CURL_SOCKET_BAD, {}, false, false};
  link.connect_to = set_connection_options(link.easy, context_);
  curl::set(link.easy, CURLOPT_URL, origin_.c_str());
  curl::set(link.easy, CURLOPT_CONNECT_ONLY, 1L);
  // An HTTP proxy would want another form of request than we write.
  curl::set(link.easy, CURLOPT_HTTPPROXYTUNNEL, 1L);
  std::size_t proxy_bytes = 0;
  curl::set(link.easy, CURLOPT_HEADERFUNCTION, &count_proxy_header);
  curl::set(link.easy, CURLOPT_HEADERDATA, &proxy_bytes);
  curl::set(link.easy, CURLOPT_ERRORBUFFER, error_text_.data());
  curl::set(link.easy, CURLOPT_NOPROGRESS, 0L);
  curl::set(link.easy, CURLOPT_XFERINFOFUNCTION, &abort_connecting);
  std::stop_token token = abort;
  curl::set(link.easy, CURLOPT_XFERINFODATA, &token);
  const CURLcode code = curl_easy_perform(link.easy.get());
  if (code != CURLE_OK) return code;
  curl::set(link.easy, CURLOPT_NOPROGRESS, 1L);  // before the token goes
  curl::set(link.easy, CURLOPT_XFERINFODATA, nullptr);
  curl::set(link.easy, CURLOPT_HEADERFUNCTION, nullptr);
  curl::set(link.easy, CURLOPT_HEADERDATA, nullptr);
  curl::check(curl_easy_getinfo(link.easy.get(), CURLINFO_ACTIVESOCKET, &link.socket),
              "curl_easy_getinfo");
  if (link.socket == CURL_SOCKET_BAD) return CURLE_COULDNT_CONNECT;
  link_ = std::move(link);
  return CURLE_OK;
}

CURLcode PipelinedHeads::exchange(Round& round, const std::stop_token& abort) {
  while (!round.complete()) {
    if (abort.stop_requested()) return CURLE_ABORTED_BY_CALLBACK;
    if (Clock::now() > round.deadline) return CURLE_OPERATION_TIMEDOUT;
    queue_requests(round);
    const bool has_sent = send_some(round);
    const CURLcode code = receive_some(round);
    if (code == CURLE_AGAIN) {
      if (!has_sent) wait(round);
    } else if (code != CURLE_OK) {
      return code;
    }
  }
  // Nobody asked for more: what follows would be taken for the next round's answers.
  return link_->received.empty() ? CURLE_OK : CURLE_WEIRD_SERVER_REPLY;
}

void PipelinedHeads::queue_requests(Round& round) const {
  if (round.sent < round.out.size()) return;
  round.out.clear();
  round.sent = 0;
  // RFC 9112, 9.3.2: after a close, no pipelining until the new connection has answered.
  const std::size_t limit = link_->is_second && !link_->answered ? 1 : kMaxOutstanding;
  while (round.asked < round.requests.size() && round.asked - round.answers.size() < limit) {
    round.out += round.requests[round.asked++];
  }
}

bool PipelinedHeads::send_some(Round& round) {
  if (!round.can_send || round.sent == round.out.size()) return false;
  const std::string_view rest = std::string_view(round.out).substr(round.sent);
  std::size_t count = 0;
  const CURLcode code = curl_easy_send(link_->easy.get(), rest.data(), rest.size(), &count);
  if (code != CURLE_OK && code != CURLE_AGAIN) round.can_send = false;
  round.sent += count;
  return count > 0;
}

CURLcode PipelinedHeads::receive_some(Round& round) {
  std::array<char, kReadBytes> block;  // NOLINT(cppcoreguidelines-pro-type-member-init)
  std::size_t count = 0;
  const CURLcode code = curl_easy_recv(link_->easy.get(), block.data(), block.size(), &count);
  if (code != CURLE_OK) return code;
  if (count == 0) return CURLE_GOT_NOTHING;
  link_->received.append(block.data(), count);
  return take_answers(round);
}

CURLcode PipelinedHeads::take_answers(Round& round) {
  std::string& received = link_->received;
  std::size_t begin = 0;
  while (round.answers.size() < round.asked) {
    const std::size_t end = received.find(kHeadEnd, begin);
    if (end == std::string::npos) break;
    if (end - begin > kMaxHeadBytes) return CURLE_WEIRD_SERVER_REPLY;
    auto answer = parse_head_answer(std::string_view(received).substr(begin, end - begin));
    if (!answer) return CURLE_WEIRD_SERVER_REPLY;
    begin = end + kHeadEnd.size();
    link_->answered = true;
    round.server_closes = answer->last;
    round.answers.push_back(std::move(*answer));
    if (round.server_closes && !round.complete()) return CURLE_GOT_NOTHING;
  }
  received.erase(0, begin);
  return received.size() > kMaxHeadBytes ? CURLE_WEIRD_SERVER_REPLY : CURLE_OK;
}

void PipelinedHeads::wait(const Round& round) const {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(round.deadline - Clock::now());
  const auto time = std::clamp(left, std::chrono::milliseconds(0), kAbortCheck);
  const bool wants_to_send = round.can_send && round.sent < round.out.size();
  pollfd ready{link_->socket, static_cast<short>(wants_to_send ? POLLIN | POLLOUT : POLLIN), 0};
  static_cast<void>(::poll(&ready, 1, static_cast<int>(time.count())));
}

}  // namespace m2b
