#pragma once

#include <atomic>
#include <functional>
#include <utility>
#include <vector>

#include "mqtt/paho_client.hpp"

namespace m2b::test {

/// Hands messages on, and notes that a connection is there, and was lost.
class PahoEvents final : public paho::Events {
 public:
  using OnLarge = std::function<void(const paho::LargeMessage&)>;

  explicit PahoEvents(std::function<void(paho::Message)> on_message, OnLarge on_large = nullptr)
      : on_message_(std::move(on_message)), on_large_(std::move(on_large)) {}

  void on_connected(bool /*session_present*/,
                    const ConnackProperties& /*properties*/) noexcept override {
    connected = true;
  }
  void on_connect_failed(int /*code*/, bool /*dropped*/,
                         const BrokerStatement& /*statement*/) noexcept override {}
  void on_connection_lost() noexcept override { lost = true; }
  void on_server_disconnect(int /*reason_code*/,
                            const BrokerStatement& /*statement*/) noexcept override {}
  void on_suback(std::vector<int> /*codes*/,
                 const BrokerStatement& /*statement*/) noexcept override {}
  void on_disconnected() noexcept override {}
  void on_message(paho::Message message) noexcept override { on_message_(std::move(message)); }

  void on_large_message(const paho::LargeMessage& message) noexcept override { on_large_(message); }

  std::atomic<bool> connected = false;
  std::atomic<bool> lost = false;

 private:
  std::function<void(paho::Message)> on_message_;
  OnLarge on_large_;
};

}  // namespace m2b::test
