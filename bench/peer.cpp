#include "bench/peer.hpp"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string_view>

#include <fmt/format.h>

#include "bench/sizes.hpp"

namespace m2b::bench {
namespace {

/// Without the input. ${NAME} is filled in by Benthos from its environment, here and below.
constexpr std::string_view kPipeline = R"yaml(
http:
  address: ${STATUS_ADDRESS}
logger:
  level: WARN
metrics:
  prometheus: {}
pipeline:
  processors:
    - mapping: |
        let image = this.image
        meta timestamp_ms = this.timestamp_ms.string()
        meta image_id = $image.image_id
        meta image_height = $image.image_height.string()
        meta image_width = $image.image_width.string()
        meta image_channels = $image.image_channels.string()
        root = $image.image_bytes.decode("base64")
output:
  aws_s3:
    endpoint: http://${STORE}
    region: us-east-1
    credentials:
      id: ${ACCESS_KEY}
      secret: ${SECRET_KEY}
    bucket: ${BUCKET}
    force_path_style_urls: true
    path: ${! meta("image_id") }.jpg
    content_type: image/jpeg
    metadata:
      exclude_prefixes: [ mqtt_duplicate, mqtt_qos, mqtt_retained, mqtt_message_id ]
    max_in_flight: ${IN_FLIGHT}
    timeout: 60s
)yaml";

constexpr std::string_view kInput =
    "{ mqtt: { urls: [ 'tcp://${BROKER}' ], client_id: mqtt-to-blob-bench-peer, "
    "topics: [ '${TOPIC}' ], qos: ${QOS}, clean_session: false } }";

/// Its documentation wants batches in front of this buffer. They double its rate for pictures of
/// 1 KiB and cost it a fifth more processor time for those of 100 KiB, which therefore go without.
constexpr std::size_t kMaxBatchedBytes = std::size_t{64} << 10;
constexpr std::string_view kBatches = "policy: { count: 50, period: 5ms }";

std::string input_and_buffer(PeerQueue queue, std::size_t picture_bytes) {
  if (queue == PeerQueue::none) return fmt::format("input: {}\n", kInput);
  const std::string buffer = "path: '${BUFFER}'";
  if (picture_bytes > kMaxBatchedBytes) {
    return fmt::format("input: {}\nbuffer: {{ sqlite: {{ {} }} }}\n", kInput, buffer);
  }
  return fmt::format(
      "input: {{ batched: {{ child: {}, {} }} }}\n"
      "buffer: {{ sqlite: {{ {}, post_processors: [ {{ split: {{}} }} ] }} }}\n",
      kInput, kBatches, buffer);
}

/// It is ready as soon as it has connected, and does not tell when it has subscribed. Should this
/// be too short, messages are missing and the run fails.
constexpr std::chrono::milliseconds kSubscribing{500};

/// All samples of a counter together, of the series that begin so; 0 as long as it has none.
std::size_t sum(std::string_view metrics, std::string_view series) {
  std::size_t total = 0;
  for (std::size_t at = 0; (at = metrics.find(series, at)) != std::string_view::npos;) {
    const std::size_t end = std::min(metrics.find('\n', at + 1), metrics.size());
    const std::size_t value_at = metrics.rfind(' ', end) + 1;
    double value = 0;  // large ones come as 1e+06
    std::from_chars(metrics.data() + value_at, metrics.data() + end, value);
    total += static_cast<std::size_t>(value);
    at = end;
  }
  return total;
}

BridgeAccount peer_account(std::string_view metrics) {
  return {sum(metrics, "\ninput_received{"), sum(metrics, "\noutput_sent{"),
          sum(metrics, "\nprocessor_error{")};
}

std::string find_peer(const PeerOptions& options) {
  return find_program(options.program, "name with --peer the program that scripts/peer builds");
}

}  // namespace

const char* to_string(PeerQueue queue) { return queue == PeerQueue::none ? "none" : "sqlite"; }

void check_peer(const PeerOptions& options, std::size_t picture_bytes) {
  static_cast<void>(find_peer(options));
  if (picture_bytes >= kMaxPeerPictureBytes) {
    throw std::invalid_argument(fmt::format(
        "--size '{}' is too large beside --peer; give sizes below {}, or leave the peer out",
        size_text(picture_bytes), size_text(kMaxPeerPictureBytes)));
  }
}

BridgeProgram peer_program(const PeerOptions& options, PeerQueue queue, std::size_t picture_bytes,
                           const BridgePlace& place) {
  BridgeProgram program{{}, {kLoopback, free_port()}, "/ready", &peer_account, {}, kSubscribing};
  const std::filesystem::path pipeline = place.folder / "peer.yaml";
  std::ofstream(pipeline) << kPipeline << input_and_buffer(queue, picture_bytes);
  Command& command = program.command;
  command.name = "the peer";
  command.arguments = {find_peer(options), "-c", pipeline.string()};
  command.environment = {
      "HOME=" + place.folder.string(),
      "STATUS_ADDRESS=" + program.status.text(),
      "BROKER=" + place.broker.text(),
      "TOPIC=" + place.topic,
      fmt::format("QOS={}", place.qos),
      "STORE=" + place.store.address.text(),
      "ACCESS_KEY=" + place.store.access_key,
      "SECRET_KEY=" + place.store.secret_key,
      "BUCKET=" + place.store.bucket,
      fmt::format("IN_FLIGHT={}", options.in_flight),
      "BUFFER=" + (place.folder / "peer.sqlite").string(),
  };
  command.log = place.folder / "peer.log";
  return program;
}

}  // namespace m2b::bench
