#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <stop_token>
#include <string_view>

#include "m2b/upload/object_store.hpp"
#include "m2b/upload/store_context.hpp"

namespace m2b {

class S3Connection;
struct S3Request;

/// ObjectStore over libcurl: one kept-alive connection, path-style addressing, AWS Signature V4
/// with the SHA-256 of the body. A missing bucket is created on the way and the object put again; a
/// refused time is corrected and the request repeated once.
///
/// A batch goes to MinIO as an archive that it extracts ("snowball", PutObjectExtract), and each
/// object of it is then asked for by a HEAD, over a second kept-alive connection: MinIO answers 200
/// also to an archive that ends in the middle, and other stores keep it as it is. Archives that
/// some store keeps as an object are under the key kArchiveKey.
class S3Store final : public ObjectStore {
 public:
  /// No object of ours has that name: images end in .jpg, dead letters in .json.
  static constexpr std::string_view kArchiveKey = "mqtt-to-blob-batch.tar";
  /// Larger ones gain little, and MinIO extracts those over 128 KiB one behind the other.
  static constexpr std::size_t kMaxBatchedBytes = std::size_t{64} << 10U;

  /// The context outlives the store.
  explicit S3Store(StoreContext& context);
  ~S3Store() override;

  [[nodiscard]] PutResult put(const Object& object, std::stop_token abort) override;
  [[nodiscard]] PutResult ensure_bucket(std::stop_token abort) override;
  [[nodiscard]] bool takes_batches() const override;
  [[nodiscard]] bool fits_batch(const Object& object) const override;
  [[nodiscard]] PutResult put_batch(std::span<const Object* const> objects,
                                    std::stop_token abort) override;

 private:
  [[nodiscard]] PutResult put_request(const S3Request& request, const std::stop_token& abort);
  [[nodiscard]] PutResult look_at_bucket(const std::stop_token& abort);
  [[nodiscard]] PutResult create_bucket(const std::stop_token& abort);
  [[nodiscard]] PutResult confirm(std::span<const Object* const> objects,
                                  const std::stop_token& abort);

  const StoreOptions& options_;
  BatchSupport& batches_;
  const std::unique_ptr<S3Connection> connection_;  // keeps curl's header out of here
};

/// libcurl's process-wide set-up; one object in main, before the first S3Store.
class CurlGlobal {
 public:
  CurlGlobal();
  ~CurlGlobal();
  CurlGlobal(const CurlGlobal&) = delete;
  CurlGlobal& operator=(const CurlGlobal&) = delete;
};

}  // namespace m2b
