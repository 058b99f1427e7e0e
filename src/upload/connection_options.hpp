#pragma once

#include "m2b/upload/options.hpp"
#include "upload/curl.hpp"

namespace m2b {

/// How every connection to the store is made: HTTP/1.1, certificates verified, bounded in time,
/// and with its peer probed while nothing moves.
void set_connection_options(const curl::EasyHandle& easy, const StoreOptions& options);

}  // namespace m2b
