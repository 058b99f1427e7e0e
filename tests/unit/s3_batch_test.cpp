#include <doctest/doctest.h>

#include <chrono>
#include <future>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include <fmt/format.h>

#include "m2b/upload/s3_store.hpp"
#include "support/put_meaning.hpp"
#include "support/s3_error.hpp"
#include "support/scripted_http_server.hpp"
#include "support/store_options.hpp"
#include "upload/digest.hpp"

namespace {

using namespace std::chrono_literals;
using m2b::BatchSupport;
using m2b::Object;
using m2b::ObjectKey;
using m2b::PutOutcome;
using m2b::PutResult;
using m2b::S3Store;
using m2b::StoreOptions;
using m2b::test::meaning;
using m2b::test::s3_error;
using m2b::test::ScriptedHttpServer;

TEST_SUITE("S3 store, batches") {
  std::vector<Object> objects(std::size_t count) {
    std::vector<Object> all;
    for (std::size_t i = 0; i < count; ++i) {
      const std::string id = fmt::format("cam {}", i);
      all.push_back({std::get<ObjectKey>(ObjectKey::from_image_id(id)),
                     fmt::format("picture {}", i),
                     "image/jpeg",
                     {{"image_id", id}}});
    }
    return all;
  }

  /// A store client that has met MinIO, and a batch of three.
  class MinioFixture {
   public:
    MinioFixture() {
      server_.store({{"Server", "MinIO"}});
      CHECK_FALSE(store_.takes_batches());  // nobody knows yet
      REQUIRE(store_.put(batch_.front(), {}).outcome == PutOutcome::stored);
      REQUIRE(store_.takes_batches());
    }

    PutResult put_batch() {
      std::vector<const Object*> pointers;
      for (const Object& each : batch_) pointers.push_back(&each);
      return store_.put_batch(pointers, stop_.get_token());
    }
    void take_archive() { server_.store({{"Server", "MinIO"}}); }
    /// What a store with the object says.
    [[nodiscard]] static std::string head(const Object& object) {
      return fmt::format(
          "HTTP/1.1 200 OK\r\nServer: MinIO\r\nContent-Length: {}\r\nETag: \"{}\"\r\n"
          "Content-Type: image/jpeg\r\nX-Amz-Meta-Image_id: {}\r\n\r\n",
          object.body.size(), m2b::md5_hex(object.body).value(), object.metadata.front().second);
    }
    [[nodiscard]] static std::string refusal(int status, std::string_view code) {
      return fmt::format("HTTP/1.1 {} No\r\nContent-Length: 300\r\nx-minio-error-code: {}\r\n\r\n",
                         status, code);
    }
    void confirm(std::size_t index) { server_.answer_raw(head(batch_[index])); }
    void confirm_all() {
      for (std::size_t i = 0; i < batch_.size(); ++i) confirm(i);
    }

    ScriptedHttpServer server_;
    StoreOptions options_ = m2b::test::store_options(server_.port());
    m2b::CurlGlobal curl_;
    m2b::StoreContext context_{options_};
    S3Store store_{context_};
    std::vector<Object> batch_ = objects(3);
    std::stop_source stop_;
  };

  TEST_CASE_FIXTURE(MinioFixture, "a batch is one signed archive and a look at each object") {
    take_archive();
    confirm_all();
    const PutResult result = put_batch();
    CHECK(result.outcome == PutOutcome::stored);
    CHECK(result.http_status == 200);
    CHECK(store_.takes_batches());

    const auto put = server_.request(1);
    CHECK(put.method == "PUT");
    CHECK(put.target == "/pictures/mqtt-to-blob-batch.tar");
    CHECK(put.header("X-Amz-Meta-Snowball-Auto-Extract") == "true");
    CHECK(put.header("Authorization").find("x-amz-meta-snowball-auto-extract") !=
          std::string::npos);
    CHECK(put.header("x-amz-content-sha256") == m2b::sha256_hex(put.body));
    CHECK(put.body.size() == 3 * 4 * 512 + 2 * 512);
    CHECK(put.body.find("picture 2") != std::string::npos);
    CHECK(put.connection == 0);
    for (std::size_t i = 0; i < 3; ++i) {
      const auto look = server_.request(2 + i);
      CHECK(look.method == "HEAD");
      CHECK(look.target == fmt::format("/pictures/cam%20{}.jpg", i));
      CHECK(look.header("Host") == fmt::format("127.0.0.1:{}", server_.port()));
      CHECK(look.header("Authorization").starts_with("AWS4-HMAC-SHA256 Credential=key-id/"));
      CHECK(look.header("x-amz-content-sha256") == m2b::sha256_hex(""));
      CHECK(look.header("User-Agent").starts_with("mqtt-to-blob/"));
      CHECK(look.connection == 1);
    }
  }

  TEST_CASE_FIXTURE(MinioFixture, "both connections are kept for the next batch") {
    for (int i = 0; i < 2; ++i) {
      take_archive();
      confirm_all();
      CHECK(put_batch().outcome == PutOutcome::stored);
    }
    CHECK(server_.request(5).connection == 0);
    CHECK(server_.request(8).connection == 1);
  }

  TEST_CASE_FIXTURE(MinioFixture, "an archive that was not extracted ends the batches") {
    take_archive();
    for (int i = 0; i < 3; ++i) server_.answer_raw(refusal(404, "NoSuchKey"));
    const PutResult result = put_batch();
    CHECK(meaning(result) == "ambiguous");
    CHECK(result.code == "batch_unconfirmed");
    CHECK(result.http_status == 404);
    CHECK(result.detail.find("did not extract") != std::string::npos);
    CHECK_FALSE(store_.takes_batches());
    server_.store({{"Server", "MinIO"}});
    CHECK(store_.put(batch_[0], {}).outcome == PutOutcome::stored);
    CHECK_FALSE(store_.takes_batches());  // for good
  }

  TEST_CASE_FIXTURE(MinioFixture, "an object of another checksum ends the batches") {
    take_archive();
    confirm(0);
    server_.answer_raw("HTTP/1.1 200 OK\r\nContent-Length: 9\r\nETag: \"of-other-bytes\"\r\n\r\n");
    confirm(2);
    CHECK(meaning(put_batch()) == "ambiguous");
    CHECK_FALSE(store_.takes_batches());
  }

  TEST_CASE_FIXTURE(MinioFixture, "an archive that no S3 store took is asked for no further") {
    server_.answer(200, {{"Server", "MinIO"}, {"Content-Type", "text/html"}}, "<html>");
    CHECK(put_batch().code == "not_s3");
    CHECK(server_.request_count() == 2);
    server_.answer(200, {{"Server", "MinIO"}}, "<html>");
    CHECK(put_batch().code == "not_s3");
    CHECK(server_.request(2).method == "GET");  // about the bucket

    server_.answer(200, {{"Server", "MinIO"}}, "<LocationConstraint/>");
    take_archive();
    confirm_all();
    CHECK(put_batch().outcome == PutOutcome::stored);
  }

  TEST_CASE_FIXTURE(MinioFixture, "an object whose ETag is weak confirms nothing") {
    take_archive();
    confirm(0);
    std::string head = this->head(batch_[1]);
    head.replace(head.find("ETag: "), 6, "ETag: W/");
    server_.answer_raw(head);
    confirm(2);
    CHECK(meaning(put_batch()) == "ambiguous");
  }

  TEST_CASE_FIXTURE(MinioFixture, "an object of another size ends the batches") {
    take_archive();
    confirm(0);
    confirm(1);
    std::string head = this->head(batch_[2]);
    head.replace(head.find("Length: 9"), 9, "Length: 8");
    server_.answer_raw(head);
    CHECK(meaning(put_batch()) == "ambiguous");
    CHECK_FALSE(store_.takes_batches());
  }

  TEST_CASE_FIXTURE(MinioFixture, "a store that does not let us look at objects ends the batches") {
    take_archive();
    for (int i = 0; i < 3; ++i) server_.answer_raw(refusal(403, "AccessDenied"));
    const PutResult result = put_batch();
    CHECK(meaning(result) == "ambiguous");
    CHECK(result.http_status == 403);
    CHECK_FALSE(store_.takes_batches());
  }

  TEST_CASE_FIXTURE(
      MinioFixture,
      "one object that is missing fails its batch; only many such in a row make a pause") {
    for (int i = 0; i < BatchSupport::kFailuresBeforePause; ++i) {
      CHECK(store_.takes_batches());
      take_archive();
      confirm(0);
      server_.answer_raw(refusal(404, "NoSuchKey"));
      confirm(2);
      const PutResult result = put_batch();
      CHECK(meaning(result) == "ambiguous");
      CHECK(result.detail.find("cam 1.jpg") != std::string::npos);
    }
    CHECK_FALSE(store_.takes_batches());
  }

  TEST_CASE_FIXTURE(MinioFixture, "a confirmed batch makes up for those before it") {
    for (int i = 0; i < 10; ++i) {
      take_archive();
      if (i % 2 == 1) {
        confirm_all();
      } else {
        for (int each = 0; each < 3; ++each) server_.answer_raw(refusal(503, "SlowDownRead"));
      }
      CHECK(meaning(put_batch()) == (i % 2 == 1 ? "stored" : "ambiguous"));
      CHECK(store_.takes_batches());
    }
  }

  TEST_CASE_FIXTURE(MinioFixture,
                    "looks that are cut off are taken up again, or else left for later") {
    take_archive();
    server_.answer_raw_and_close(head(batch_[0]));
    SUBCASE("taken up") {
      confirm(1);
      confirm(2);
      CHECK(put_batch().outcome == PutOutcome::stored);
    }
    SUBCASE("left") {
      server_.drop();
      const PutResult result = put_batch();
      CHECK(meaning(result) == "ambiguous");
      CHECK(result.code == "batch_unconfirmed");
      CHECK_FALSE(result.detail.empty());
    }
    CHECK(store_.takes_batches());
  }

  TEST_CASE_FIXTURE(MinioFixture, "a store that is away or busy does not end the batches") {
    std::string expected;
    SUBCASE("busy") {
      server_.answer(503, {{"Server", "MinIO"}}, s3_error("SlowDown"));
      expected = "store";
    }
    SUBCASE("away") {
      server_.drop();
      server_.drop();
      expected = "path";
    }
    CHECK(meaning(put_batch()) == expected);
    CHECK(store_.takes_batches());
  }

  TEST_CASE_FIXTURE(MinioFixture,
                    "a refusal of archives ends the batches, one of credentials does not") {
    SUBCASE("a policy for images only") {
      server_.answer(403, {{"Server", "MinIO"}}, s3_error("AccessDenied"));
      CHECK(put_batch().outcome != PutOutcome::stored);
      CHECK_FALSE(store_.takes_batches());
    }
    SUBCASE("wrong credentials") {
      server_.answer(403, {{"Server", "MinIO"}}, s3_error("InvalidAccessKeyId"));
      CHECK(meaning(put_batch()) == "credentials, needs a person");
      CHECK(store_.takes_batches());
    }
  }

  TEST_CASE_FIXTURE(MinioFixture, "refusals of one archive after the other make a pause") {
    for (int i = 0; i < BatchSupport::kFailuresBeforePause; ++i) {
      CHECK(store_.takes_batches());
      server_.answer(400, {{"Server", "MinIO"}}, s3_error("BadRequest"));
      CHECK(meaning(put_batch()) == "ambiguous, may be the object's fault");
    }
    CHECK_FALSE(store_.takes_batches());
  }

  TEST_CASE_FIXTURE(MinioFixture,
                    "a missing bucket is created on the way and the batch put again") {
    server_.answer(404, {{"Server", "MinIO"}}, s3_error("NoSuchBucket"));
    server_.answer(200, {{"Server", "MinIO"}});
    take_archive();
    confirm_all();
    CHECK(put_batch().outcome == PutOutcome::stored);
    CHECK(server_.request(2).target == "/pictures");
    CHECK(server_.request(3).body == server_.request(1).body);
  }

  TEST_CASE_FIXTURE(MinioFixture, "a kept connection that dies under a batch is replaced") {
    server_.drop();
    take_archive();
    confirm_all();
    CHECK(put_batch().outcome == PutOutcome::stored);
    const bool same = server_.request(1).body == server_.request(2).body;
    CHECK(same);
  }

  TEST_CASE_FIXTURE(MinioFixture, "batches are for as long as it is MinIO that answers") {
    server_.answer(502, {{"Server", "nginx"}}, "<html>");
    CHECK(meaning(store_.put(batch_[0], {})) == "path");
    CHECK_FALSE(store_.takes_batches());
    server_.store({{"Server", "MinIO/RELEASE.2019"}});
    CHECK(store_.put(batch_[0], {}).outcome == PutOutcome::stored);
    CHECK(store_.takes_batches());
    server_.store({{"Server", "NotMinIO"}});
    CHECK(store_.put(batch_[0], {}).outcome == PutOutcome::stored);
    CHECK_FALSE(store_.takes_batches());
  }

  TEST_CASE_FIXTURE(MinioFixture, "a request to stop ends a batch soon, and is no failure") {
    std::size_t silent = 1;  // the request that is never answered
    SUBCASE("while the archive is taken") { server_.stay_silent(); }
    SUBCASE("while the objects are looked at") {
      take_archive();
      server_.stay_silent();
      silent = 2;
    }
    auto pending = std::async(std::launch::async, [this] { return put_batch(); });
    static_cast<void>(server_.request(silent));
    const auto asked = std::chrono::steady_clock::now();
    stop_.request_stop();
    CHECK(pending.get().outcome == PutOutcome::stopped);
    CHECK(std::chrono::steady_clock::now() - asked < 5s);
    CHECK(store_.takes_batches());
  }

  TEST_CASE_FIXTURE(MinioFixture, "small objects fit a batch") {
    Object object = batch_.front();
    CHECK(store_.fits_batch(object));
    object.body.assign(S3Store::kMaxBatchedBytes, 'x');
    CHECK(store_.fits_batch(object));
    object.body += 'x';
    CHECK_FALSE(store_.fits_batch(object));
  }
}

}  // namespace
