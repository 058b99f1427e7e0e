"""The connection to the broker: keep-alive, and what a broker grants, refuses and says."""

import re
import time

import pytest

from harness.certificates import Authority
from harness.connack import (
    answering,
    reason_string,
    server_keep_alive,
    server_reference,
    session_expiry,
)
from harness.messages import picture
from harness.proxy import BlackHole
from harness.volumes import with_hosts
from harness.wire import TO_CLIENT, MqttWire, Wire
from harness.waiting import stays_true, wait_until


def through(stack, wire, **settings):
    """The bridge reaches the broker by the wire."""
    stack.bridge.settings |= {"BROKER_PORT": str(wire.port), **settings}
    return stack.start()


def warnings(bridge):
    return {warning["id"]: warning for warning in bridge.status()["warnings"]}


@pytest.mark.time_limit(120)
@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_a_message_may_take_many_keep_alive_intervals_to_arrive(new_stack, version):
    """The broker's answers to our pings wait behind the message. It drops a client that it has not
    heard for one and a half intervals: 7.5 s here, looked at every 5 s."""
    stack = new_stack(MQTT_VERSION=version, MQTT_KEEPALIVE="5s")
    with Wire(stack.broker.port) as wire:
        through(stack, wire)
        wire.bytes_per_second = 60_000
        stack.publisher.send(picture(size=1_500_000))
        stack.assert_exactly_stored(within=60)
        assert stack.bridge.metric("broker_connects_total") == 1
        assert stack.bridge.metric("messages_cut_total") == 0
        assert "has exceeded timeout" not in stack.broker.log_text()


def test_a_message_that_never_arrives_whole_is_named(new_stack):
    stack = new_stack()
    with Wire(stack.broker.port) as wire:
        through(stack, wire)
        wire.bytes_per_second = 200_000
        stack.publisher.send(picture(size=1_500_000))
        for times in (1, 2):
            wait_until(lambda: any(link.sent > 400_000 for link in wire.links()), 20, "it begins")
            wire.cut()
            wait_until(
                lambda: stack.bridge.metric("message_incomplete_times") == times, 20, "it is noticed"
            )
        stack.bridge.wait_for_log(re.compile(r" WARNING +mqtt: a message begins again.* times=2"))
        warning = warnings(stack.bridge)["message_never_complete"]
        assert re.search(r"2 connections in a row ended while .* was sending it", warning["cause"])
        incomplete = stack.bridge.status()["broker"]["incomplete_message"]
        assert incomplete["total_bytes"] > 1_500_000 > incomplete["received_bytes"] > 200_000
        assert stack.bridge.metric("messages_cut_total") == 2

        wire.bytes_per_second = None
        wire.cut()
        stack.assert_exactly_stored()
        assert stack.bridge.metric("message_incomplete_times") == 0
        assert "message_never_complete" not in warnings(stack.bridge)


@pytest.mark.time_limit(90)
def test_the_brokers_keep_alive_is_kept(new_stack):
    """mosquitto is asked for 2 s by the wire, which tells the bridge that this is what the broker
    wants."""
    stack = new_stack(MQTT_VERSION="5", MQTT_KEEPALIVE="60s")
    with MqttWire(stack.broker.port) as wire:
        wire.rules.append(answering(0, server_keep_alive(2)))
        through(stack, wire)
        began = time.monotonic()
        stays_true(lambda: stack.bridge.metric("broker_alive") == 1, 8, "it hears the broker")
        pings = wire.passed["to server", 12]
        assert pings >= (time.monotonic() - began) / 2 - 1, pings
        assert stack.bridge.metric("broker_keep_alive_seconds") == 2
        assert stack.bridge.status()["broker"]["connack"]["server_keep_alive_seconds"] == 2
        assert stack.bridge.metric("broker_connects_total") == 1
        wire.pause(TO_CLIENT)
        wait_until(lambda: stack.bridge.metric("broker_alive") == 0, 6, "it hears nothing")


@pytest.mark.parametrize("granted", [60, 0])
def test_a_session_that_the_broker_shortens_is_told(new_stack, granted):
    stack = new_stack(MQTT_VERSION="5", MQTT_SESSION_EXPIRY="30d")
    with MqttWire(stack.broker.port) as wire:
        wire.rules.append(answering(0, session_expiry(granted)))
        through(stack, wire)
        line = re.compile(
            rf" WARNING +mqtt: .*MQTT_SESSION_EXPIRY.* asked_seconds=2592000 "
            rf"granted_seconds={granted}\b"
        )
        stack.bridge.wait_for_log(line)
        warning = warnings(stack.bridge)["session_expiry_short"]
        assert warning["severity"] == "attention"
        assert "for 30 d" in warning["cause"]
        assert stack.bridge.metric("session_expiry_asked_seconds") == 2592000
        assert stack.bridge.metrics().value("mqtt_to_blob_session_expiry_granted_seconds") == granted
        wire.cut()
        wait_until(
            lambda: len(line.findall(stack.bridge.log_text())) == 2, 10, "it is told each time"
        )


def test_a_session_that_is_granted_as_asked_is_no_warning(new_stack):
    stack = new_stack(MQTT_VERSION="5", MQTT_SESSION_EXPIRY="never").start()
    assert "session_expiry_short" not in warnings(stack.bridge)
    assert stack.bridge.metric("session_expiry_asked_seconds") == float("inf")
    assert stack.bridge.metric("session_expiry_granted_seconds") == float("inf")


def test_a_refusal_is_told_in_the_brokers_own_words(new_stack):
    stack = new_stack(MQTT_VERSION="5")
    stack.broker.start()
    with MqttWire(stack.broker.port) as wire:
        wire.rules.append(
            answering(0x9D, reason_string("we \x1b[31mmoved"), server_reference("b.example:1883"))
        )
        stack.bridge.settings |= {"BROKER_PORT": str(wire.port)}
        stack.bridge.start()
        stack.bridge.wait_for_log(
            re.compile(
                r"mqtt: connection refused .*server moved; the broker says: we \\+x1b\[31mmoved; "
                r"the broker names another server: b\.example:1883"
            )
        )
        wait_until(lambda: "broker_refuses" in warnings(stack.bridge), 15, "the page tells it")
        warning = warnings(stack.bridge)["broker_refuses"]
        assert "the broker says: we \\x1b[31mmoved" in warning["cause"]
        assert "BROKER_URL" in warning["remedy"]
        trouble = stack.bridge.status()["broker"]["trouble"]
        assert trouble["server_reference"] == "b.example:1883"


REFUSES, ALSO_REFUSES, BROKER = "127.0.0.1", "127.0.0.2", "127.0.0.9"


@pytest.fixture
def broker_of_several_addresses(new_stack, tmp_path):
    """A name with three addresses. The system sorts those of the loopback by their likeness to
    127.0.0.1 (RFC 6724, section 6), so the broker's comes last."""

    def make(listening=None, **settings):
        stack = new_stack(BROKER_URL="broker.name", MQTT_CONNECT_TIMEOUT="2s", **settings)
        port = stack.broker.listen(address=BROKER, **(listening or {}))
        stack.bridge.settings["BROKER_PORT"] = port
        stack.bridge.wrapper = with_hosts(
            tmp_path / "hosts", broker_name=[REFUSES, ALSO_REFUSES, BROKER]
        )
        return stack

    return make


def test_the_next_address_is_called_where_one_refuses(broker_of_several_addresses):
    stack = broker_of_several_addresses().start()
    for address in (REFUSES, ALSO_REFUSES):
        stack.bridge.wait_for_log(
            re.compile(rf"connection refused .*address={address} .*Connection refused")
        )
    stack.bridge.wait_for_log(re.compile(rf"mqtt: connected .*address={BROKER} "))
    stack.publisher.send(picture())
    stack.assert_exactly_stored()
    # The one that answered is called first from then on.
    mark = stack.bridge.mark()
    stack.broker.stop()
    stack.broker.start()
    first = stack.bridge.wait_for_log(re.compile(r" address=(127\S+) "), since=mark)
    assert first.group(1) == BROKER


def test_a_black_hole_costs_one_attempt(broker_of_several_addresses):
    stack = broker_of_several_addresses()
    with BlackHole(REFUSES, stack.bridge.settings["BROKER_PORT"]):
        stack.start()
        log = stack.bridge.log_text()
        assert re.search(rf"address={REFUSES} .*cannot be reached: Connection timed out", log), log
        assert stack.bridge.metric("broker_connects_total") == 1


def test_where_no_address_answers_each_is_named(broker_of_several_addresses):
    stack = broker_of_several_addresses()
    stack.bridge.start()  # without a broker
    each = (REFUSES, ALSO_REFUSES, BROKER)
    meaning = "; ".join(rf"{address}: .*Connection refused" for address in each)

    def is_named():
        trouble = stack.bridge.status()["broker"]["trouble"]
        return trouble is not None and re.search(meaning, trouble["meaning"])

    wait_until(is_named, 20, lambda: f"the page names all: {stack.bridge.status()['broker']}")


@pytest.mark.parametrize("transport", ["tls", "ws", "wss"])
def test_other_transports_try_all_addresses(broker_of_several_addresses, tmp_path, transport):
    """The certificate is verified for the name, and not for the address that is called."""
    authority = Authority(tmp_path / "authority")
    identity = None if transport == "ws" else authority.issue(names=("broker.name",))
    stack = broker_of_several_addresses(
        {"websockets": transport != "tls", "identity": identity}, MQTT_TRANSPORT=transport
    )
    if identity:
        stack.bridge.settings["MQTT_CA_FILE"] = authority.certificate
    stack.start()
    stack.publisher.send(picture(size=2_000))
    stack.assert_exactly_stored()
