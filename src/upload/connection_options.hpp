#pragma once

#include <string>

#include "m2b/upload/store_context.hpp"
#include "upload/curl.hpp"

namespace m2b {

/// The store as URLs and the Host header name it: by what its certificate is for, should that be
/// another name than the one under which it is reached; the default port is left out.
[[nodiscard]] std::string store_authority(const StoreOptions& options);

/// How every connection to the store is made: HTTP/1.1, certificates verified, bounded in time,
/// and with its peer probed while nothing moves.
/// What it returns, and the context, outlive the handle.
[[nodiscard]] curl::Slist set_connection_options(const curl::EasyHandle& easy,
                                                 StoreContext& context);

}  // namespace m2b
