#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>

#include "m2b/upload/object_store.hpp"
#include "m2b/upload/store_context.hpp"

namespace m2b {

class S3Connection;
struct StoreResponse;
struct S3Answer;
struct S3Request;

/// What the store answered to one request of the connection check.
struct StoreReply {
  PutResult result;          // `stored`: it was done
  std::string s3_code = {};  // of the error document, known to us or not; empty: there is none
  std::string server = {};   // the start of its Server header
  std::string body = {};     // of a success, at most 64 KiB
};

/// ObjectStore over libcurl: one kept-alive connection, path-style addressing, AWS Signature V4
/// with the SHA-256 of the body. A missing bucket is created on the way and the object put again; a
/// refused time is corrected and the request repeated.
///
/// `stored` is said only on proof that an S3 store has these bytes (decision 0026): its checksum,
/// an ETag that is their MD5, or a HEAD; and a checksum or a HEAD only over a connection whose peer
/// has shown that it computes checksums, or keeps bytes (decision 0030). Once something that is no
/// S3 store answered (`not_s3`), no object is sent before an S3 store has answered about the
/// bucket.
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

  // For the connection check (m2b/check). They never throw for what network or store do.

  /// Asks where the bucket is. Unlike ensure_bucket() it creates nothing.
  [[nodiscard]] StoreReply check_bucket(const std::stop_token& abort);
  /// GetObject.
  [[nodiscard]] StoreReply read(const ObjectKey& key, const std::stop_token& abort);
  /// DeleteObject. Done as well where there was no such object.
  [[nodiscard]] StoreReply remove(const ObjectKey& key, const std::stop_token& abort);

 private:
  struct Upload;  // of one object

  [[nodiscard]] PutResult put_proven(const Upload& upload, ProofPlan plan,
                                     const std::stop_token& abort);
  [[nodiscard]] S3Request request_to_put(const Upload& upload, const ProofPlan& plan) const;
  /// Whether the peer computes checksums: it refuses the upload with a wrong one. Nothing where it
  /// does; otherwise what it says, which is a success from a peer that computes none.
  [[nodiscard]] std::optional<PutResult> challenge(const Upload& upload, const ProofPlan& plan,
                                                   const std::stop_token& abort);
  [[nodiscard]] std::optional<ProofPlan> plan_after_refusal(ProofPlan plan,
                                                            const PutResult& refusal) const;
  [[nodiscard]] PutResult prove_by_head(const Upload& upload, std::string_view put_etag,
                                        const std::stop_token& abort);
  /// Whether the object can be read back: the end of it. Says why not; empty where it can.
  [[nodiscard]] std::string_view fault_of_reading(const Upload& upload,
                                                  const std::stop_token& abort);
  /// That the answer came from no S3 store, which is then doubted.
  [[nodiscard]] PutResult not_s3(const StoreResponse& response, std::string_view cause);
  /// Where the store is in doubt: why nothing is to be sent to it now; nothing where it is not.
  [[nodiscard]] std::optional<PutResult> lasting_doubt(const std::stop_token& abort);
  [[nodiscard]] S3Answer put_request(const S3Request& request, const std::stop_token& abort);
  [[nodiscard]] S3Answer look_at_bucket(const std::stop_token& abort);
  [[nodiscard]] PutResult create_bucket(const std::stop_token& abort);
  [[nodiscard]] PutResult confirm(std::span<const Object* const> objects,
                                  const std::stop_token& abort);

  const StoreOptions& options_;
  BatchSupport& batches_;
  StoreProof& proof_;
  /// The connection at whose other end somebody computes checksums, by its number; 0 before one.
  std::size_t computing_connection_ = 0;
  /// The one from which an object was read back; 0 before one.
  std::size_t keeping_connection_ = 0;
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
