#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "bench/http_client.hpp"
#include "bench/store.hpp"

namespace m2b::bench {

/// Which objects a store has, asked over a connection of its own. Belongs to one thread.
class ObjectList {
 public:
  explicit ObjectList(StoreAccess store);

  /// The keys that begin with `prefix` and come after `after`, in order; none while there is no
  /// bucket. Throws what else the store says.
  [[nodiscard]] std::vector<std::string> keys(std::string_view prefix, std::string_view after = {});

 private:
  /// An answer to one request, which has a thousand keys at most; empty: there is no bucket.
  [[nodiscard]] std::string page(std::string_view prefix, std::string_view after);

  StoreAccess store_;
  HttpClient client_;
};

}  // namespace m2b::bench
