#pragma once

#include "m2b/tls/tls_material.hpp"
#include "m2b/upload/bandwidth_limit.hpp"
#include "m2b/upload/batch_support.hpp"
#include "m2b/upload/clock_offset.hpp"
#include "m2b/upload/credentials.hpp"
#include "m2b/upload/options.hpp"
#include "m2b/upload/store_proof.hpp"

namespace m2b {

/// What all connections to one store share; it outlives them, and any thread may use its parts.
struct StoreContext {
  /// The options outlive the context.
  explicit StoreContext(const StoreOptions& store_options)
      : options(store_options),
        bandwidth(store_options.bandwidth_limit),
        credentials(store_options.credentials, store_options.credential_files),
        tls(store_options.tls) {}

  const StoreOptions& options;
  ClockOffset clock_offset;
  BatchSupport batches;
  StoreProof proof;
  BandwidthLimit bandwidth;
  CredentialsSource credentials;
  TlsMaterial tls;
};

}  // namespace m2b
