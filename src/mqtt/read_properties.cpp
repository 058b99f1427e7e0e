#include "mqtt/read_properties.hpp"

#include <span>
#include <string>
#include <string_view>

namespace m2b::paho {
namespace {

std::span<const MQTTProperty> each_of(const MQTTProperties& properties) {
  return properties.array == nullptr
             ? std::span<const MQTTProperty>()
             : std::span<const MQTTProperty>(properties.array,
                                             static_cast<std::size_t>(properties.count));
}

std::string quoted(const MQTTProperty& property) {
  const MQTTLenString& text = property.value.data;
  return text.data == nullptr || text.len <= 0
             ? std::string()
             : quote_broker(std::string_view(text.data, static_cast<std::size_t>(text.len)));
}

}  // namespace

BrokerStatement read_statement(const MQTTProperties& properties) {
  BrokerStatement statement;
  for (const MQTTProperty& property : each_of(properties)) {
    if (property.identifier == MQTTPROPERTY_CODE_REASON_STRING) {
      statement.reason = quoted(property);
    } else if (property.identifier == MQTTPROPERTY_CODE_SERVER_REFERENCE) {
      statement.server_reference = quoted(property);
    }
  }
  return statement;
}

ConnackProperties read_connack(const MQTTProperties& properties) {
  ConnackProperties read;
  for (const MQTTProperty& property : each_of(properties)) {
    const auto& value = property.value;
    switch (property.identifier) {
      case MQTTPROPERTY_CODE_SESSION_EXPIRY_INTERVAL:
        read.session_expiry = std::chrono::seconds(value.integer4);
        break;
      case MQTTPROPERTY_CODE_SERVER_KEEP_ALIVE:
        read.server_keep_alive = std::chrono::seconds(value.integer2);
        break;
      case MQTTPROPERTY_CODE_RECEIVE_MAXIMUM:
        read.receive_maximum = value.integer2;
        break;
      case MQTTPROPERTY_CODE_MAXIMUM_QOS:
        read.maximum_qos = value.byte;
        break;
      case MQTTPROPERTY_CODE_MAXIMUM_PACKET_SIZE:
        read.maximum_packet_size = value.integer4;
        break;
      case MQTTPROPERTY_CODE_TOPIC_ALIAS_MAXIMUM:
        read.topic_alias_maximum = value.integer2;
        break;
      case MQTTPROPERTY_CODE_RETAIN_AVAILABLE:
        read.retain_available = value.byte != 0;
        break;
      case MQTTPROPERTY_CODE_WILDCARD_SUBSCRIPTION_AVAILABLE:
        read.wildcard_subscriptions = value.byte != 0;
        break;
      case MQTTPROPERTY_CODE_SUBSCRIPTION_IDENTIFIERS_AVAILABLE:
        read.subscription_identifiers = value.byte != 0;
        break;
      case MQTTPROPERTY_CODE_SHARED_SUBSCRIPTION_AVAILABLE:
        read.shared_subscriptions = value.byte != 0;
        break;
      case MQTTPROPERTY_CODE_ASSIGNED_CLIENT_IDENTIFER:
        read.assigned_client_id = quoted(property);
        break;
      default:  // nothing that concerns a subscriber
        break;
    }
  }
  read.statement = read_statement(properties);
  return read;
}

}  // namespace m2b::paho
