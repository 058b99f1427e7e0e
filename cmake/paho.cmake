# m2b_paho: Eclipse Paho MQTT C, asynchronous, with TLS.
#
# Debian's static library if it is there, as its internals can be wrapped by the linker and those of the shared
# one cannot: that is what group commit needs (docs/decisions/0014), pings while a message is on its way and the words of a
# refusal (0032), large messages without a copy (0027), another name in the broker's certificate than that of its host, the
# limit of what a broker may send of TLS itself, and a proxy in the environment that Paho is not to take. Without it, or
# where wrapping it does not link, the shared library serves: each message waits for a commit of its own, and a large one
# takes its size twice.
find_package(eclipse-paho-mqtt-c REQUIRED)
add_library(m2b_paho INTERFACE)

set(wrapped Protocol_processPublication MQTTPacket_Factory MQTTPacket_send_puback MQTTPacket_send_pubrec
    WebSocket_getdata getaddrinfo getenv SSL_new)
list(TRANSFORM wrapped PREPEND "-Wl,--wrap=" OUTPUT_VARIABLE wrap_options)
find_library(PAHO_STATIC_LIBRARY libpaho-mqtt3as.a)
if(PAHO_STATIC_LIBRARY)
  include(CheckCXXSourceCompiles)
  set(CMAKE_REQUIRED_LIBRARIES ${PAHO_STATIC_LIBRARY} OpenSSL::SSL OpenSSL::Crypto Threads::Threads)
  set(CMAKE_REQUIRED_LINK_OPTIONS ${wrap_options})
  check_cxx_source_compiles([[
    #include <netdb.h>
    #include <sys/time.h>
    extern "C" {
    extern void* mqttasync_mutex;
    int MQTTAsync_lock_mutex(void*);
    int MQTTAsync_unlock_mutex(void*);
    int Socket_noPendingWrites(int);
    int MQTTPacket_send_pingreq(void*, const char*);
    struct timeval MQTTTime_now();
    void* MQTTAsync_malloc(unsigned long);
    int MQTTAsync_create(void**, const char*, const char*, int, void*);
    int __real_MQTTPacket_send_puback(int, int, void*, const char*);
    int __wrap_MQTTPacket_send_puback(int v, int i, void* n, const char* c) { return __real_MQTTPacket_send_puback(v, i, n, c); }
    int __real_MQTTPacket_send_pubrec(int, int, void*, const char*);
    int __wrap_MQTTPacket_send_pubrec(int v, int i, void* n, const char* c) { return __real_MQTTPacket_send_pubrec(v, i, n, c); }
    int __real_getaddrinfo(const char*, const char*, const addrinfo*, addrinfo**);
    int __wrap_getaddrinfo(const char* n, const char* s, const addrinfo* h, addrinfo** f) { return __real_getaddrinfo(n, s, h, f); }
    char* __real_getenv(const char*);
    char* __wrap_getenv(const char* n) { return __real_getenv(n); }
    void __real_Protocol_processPublication(void*, void*, int);
    void __wrap_Protocol_processPublication(void* p, void* c, int a) { __real_Protocol_processPublication(p, c, a); }
    void* __real_MQTTPacket_Factory(int, void*, int*);
    void* __wrap_MQTTPacket_Factory(int v, void* n, int* e) { return __real_MQTTPacket_Factory(v, n, e); }
    char* __real_WebSocket_getdata(void*, unsigned long, unsigned long*);
    char* __wrap_WebSocket_getdata(void* n, unsigned long b, unsigned long* r) { return __real_WebSocket_getdata(n, b, r); }
    void* __real_SSL_new(void*);
    void* __wrap_SSL_new(void* c) { return __real_SSL_new(c); }
    }
    int main() {
      MQTTAsync_lock_mutex(mqttasync_mutex);
      MQTTAsync_unlock_mutex(mqttasync_mutex);
      return Socket_noPendingWrites(0) + MQTTPacket_send_pingreq(nullptr, "") + static_cast<int>(MQTTTime_now().tv_sec) + MQTTAsync_create(nullptr, "", "", 1, nullptr);
    }
  ]] M2B_LATE_ACK)
  unset(CMAKE_REQUIRED_LIBRARIES)
  unset(CMAKE_REQUIRED_LINK_OPTIONS)
endif()

if(M2B_LATE_ACK)
  target_link_libraries(m2b_paho INTERFACE ${PAHO_STATIC_LIBRARY} OpenSSL::SSL OpenSSL::Crypto Threads::Threads)
  target_link_options(m2b_paho INTERFACE ${wrap_options})
  target_compile_definitions(m2b_paho INTERFACE M2B_LATE_ACK)
else()
  message(WARNING "no group commit and no MQTT_SERVER_NAME: Paho's static library is missing or cannot be wrapped")
  target_link_libraries(m2b_paho INTERFACE eclipse-paho-mqtt-c::paho-mqtt3as)
endif()
