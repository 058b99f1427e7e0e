#include "m2b/tls/peer_name.hpp"

#include <openssl/err.h>
#include <openssl/ssl.h>

namespace m2b {

bool require_peer_name(ssl_st* session, const std::string& name) {
  ERR_clear_error();
  SSL_set_verify(session, SSL_VERIFY_PEER, SSL_get_verify_callback(session));
  if (X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(session), name.c_str()) == 1) {
    return true;
  }
  ERR_clear_error();
  // The second is what SSL_set_tlsext_host_name() does, without its cast.
  return SSL_set1_host(session, name.c_str()) == 1 &&
         SSL_ctrl(session, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
                  const_cast<char*>(name.c_str())) == 1;
}

}  // namespace m2b
