#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace m2b::test {

/// An HTTP server on a free loopback port that does what it was told, request by request, on raw
/// sockets: it can also stay silent, reset a connection in mid-body or close it behind an answer.
/// Requests beyond the script are answered as by store(). Thread-safe.
class ScriptedHttpServer {
 public:
  using Headers = std::vector<std::pair<std::string, std::string>>;

  struct Request {
    std::string method;
    std::string target;  // as it stood in the request line
    Headers headers;
    std::string body;
    std::size_t connection = 0;            // counted from 0
    std::size_t body_bytes_with_head = 0;  // read along with the last bytes of the head

    /// Empty if there is none; names without regard to case.
    [[nodiscard]] std::string header(std::string_view name) const;
  };

  ScriptedHttpServer();
  ~ScriptedHttpServer();
  ScriptedHttpServer(const ScriptedHttpServer&) = delete;
  ScriptedHttpServer& operator=(const ScriptedHttpServer&) = delete;

  [[nodiscard]] std::uint16_t port() const noexcept { return port_; }

  // Each of these is for one request, in this order.
  /// As a store that has the bytes: 200 with their MD5 as ETag, should the headers have none, and
  /// the checksum that came with the request; or the refusal of one that is not that of the body.
  void store(const Headers& headers = {});
  void answer(int status, const Headers& headers = {}, std::string_view body = {});
  void answer_and_close(int status, const Headers& headers = {}, std::string_view body = {});
  /// As it is: for a HEAD, whose answer tells a length and has no body.
  void answer_raw(std::string bytes);
  void answer_raw_and_close(std::string bytes);
  /// Reads the request and says nothing until the client goes away.
  void stay_silent();
  /// Reads the request, begins to answer, and goes on byte by byte until the client goes away.
  void drip(std::string beginning);
  /// Reads the request and closes without an answer.
  void drop();
  /// Resets the connection after so many bytes of the body.
  void reset_in_body(std::size_t after_bytes);

  /// Blocks until that request (from 0) has come; throws after 10 s.
  [[nodiscard]] Request request(std::size_t index);
  [[nodiscard]] std::size_t request_count();
  /// Blocks until that connection is ended on our side; throws after 10 s.
  void wait_until_closed(std::size_t connection);

 private:
  enum class Action { answer, stay_silent, drip, drop, reset };
  struct Step {
    Action action = Action::answer;
    std::string bytes;
    bool close_after = false;
    std::size_t body_bytes = 0;
    bool is_of_store = false;  // the bytes are made of the request and the headers
    Headers headers = {};
  };
  struct Connection {
    int descriptor = -1;     // -1 once closed
    bool has_ended = false;  // we send no more
  };
  class Socket;

  void add(Step step);
  [[nodiscard]] static Step store_step(const Headers& headers);
  [[nodiscard]] Step next_step();
  void accept_loop();
  void serve(std::size_t connection, int descriptor);
  /// Whether the connection goes on.
  bool serve_request(Socket& socket, std::size_t connection);
  void end_answers(Socket& socket, std::size_t connection);
  void close_connection(std::size_t connection);

  int listener_ = -1;
  std::uint16_t port_ = 0;

  std::mutex mutex_;  // guards the fields below
  std::condition_variable changed_;
  bool stopping_ = false;
  std::deque<Step> script_;
  std::vector<Request> requests_;
  std::vector<Connection> connections_;
  std::vector<std::jthread> connection_threads_;

  std::jthread accept_thread_;
};

}  // namespace m2b::test
