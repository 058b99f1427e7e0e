"""What the broker grants, refuses, or answers in its own way, filter by filter."""

import contextlib

import pytest

from harness import mqtt
from harness.messages import picture, pictures
from harness.waiting import wait_until
from harness.wire import TO_CLIENT, TO_SERVER, MqttWire

VERSIONS = ["3.1.1", "5"]
ALLOWED, FORBIDDEN = "ia/rawImage/#", "forbidden/#"
QUICK = {"RETRY_MAX_DELAY": "500ms"}


class Rule:
    """Deals with SUBSCRIBEs as long as it is `on`; answer(link, packet, filters) returns whether it
    has."""

    def __init__(self, answer):
        self.on = True
        self.times = 0
        self._answer = answer

    def __call__(self, link, direction, packet):
        if not self.on or direction != TO_SERVER or packet.kind != mqtt.SUBSCRIBE:
            return False
        done = self._answer(link, packet, packet.filters(link.level))
        self.times += bool(done)
        return done


def refuse(code):
    def answer(link, packet, filters):
        if FORBIDDEN not in filters:
            return False
        codes = [code if name == FORBIDDEN else 1 for name in filters]
        link.send(TO_CLIENT, mqtt.suback(link.level, packet.id, *codes))
        return True

    return answer


def close(link, _packet, filters):
    if FORBIDDEN not in filters:
        return False
    link.end()
    return True


@pytest.fixture
def wired(new_stack):
    """Makes a stack whose bridge reaches the broker over a wire with that rule; all but the bridge
    runs."""
    with contextlib.ExitStack() as wires:

        def make(answer, **settings):
            stack = new_stack(**QUICK | settings)
            stack.broker.start()
            wire = wires.enter_context(MqttWire(stack.broker.port))
            stack.bridge.settings["BROKER_PORT"] = wire.port
            rule = Rule(answer)
            wire.rules.append(rule)
            return stack, wire, rule

        yield make


def warnings_of(stack):
    return {warning["id"]: warning for warning in stack.bridge.status()["warnings"]}


def wait_for_warning(stack, name):
    wait_until(lambda: name in warnings_of(stack), 15, lambda: f"{name}:\n{stack.bridge.tail()}")
    return warnings_of(stack)[name]


def filters_of(stack):
    return {entry["filter"]: entry for entry in stack.bridge.status()["broker"]["filters"]}


@pytest.mark.parametrize("version", VERSIONS)
def test_a_refused_filter_stops_no_other(wired, version):
    code = 0x80 if version == "3.1.1" else 0x87
    stack, wire, rule = wired(
        refuse(code), MQTT_VERSION=version, TOPIC=f"{FORBIDDEN},{ALLOWED}"
    )
    stack.bridge.start()
    warning = wait_for_warning(stack, "broker_refuses_subscription")
    assert warning["title"].startswith("Broker refuses 1 of 2 topic filters")
    assert FORBIDDEN in warning["cause"] and ALLOWED not in warning["cause"]
    stack.publisher.send(*pictures(20))
    stack.assert_exactly_stored()
    wait_until(lambda: rule.times >= 5, 15, "it is asked for again")
    assert wire.logins == 1
    refused = filters_of(stack)[FORBIDDEN]
    assert refused["state"] == "refused" and refused["reason_code"] == code
    assert refused["granted_qos"] is None and refused["failures"] >= 4
    assert filters_of(stack)[ALLOWED]["granted_qos"] == 1
    assert stack.bridge.metric("broker_topic_filters", state="refused") == 1
    assert stack.bridge.metric("broker_topic_filters", state="granted") == 1
    assert stack.bridge.total("broker_subscribe_failures_total") >= 4
    assert stack.bridge.metric("broker_subscribed") == 0
    assert "subscription refused" in stack.bridge.log_text()
    rule.on = False
    stack.bridge.wait_until_subscribed()
    assert wire.logins == 1
    stack.publisher.send(picture(topic="forbidden/x"))
    stack.assert_exactly_stored()
    assert stack.bridge.status()["state"] == "well"


@pytest.mark.parametrize("version", VERSIONS)
def test_a_broker_that_closes_at_a_filter_is_not_taken_for_a_bad_network(wired, version):
    """As RabbitMQ does where the user has no right to it."""
    stack, wire, rule = wired(close, MQTT_VERSION=version, TOPIC=f"{FORBIDDEN},{ALLOWED}")
    stack.bridge.start()
    wait_until(lambda: rule.times >= 3, 20, "it is asked for again")
    warning = wait_for_warning(stack, "subscribe_ends_connection")
    assert FORBIDDEN in warning["cause"] and ALLOWED not in warning["cause"]
    assert "TOPIC" in warning["remedy"]
    assert set(warnings_of(stack)) & {"broker_unreachable", "broker_unsteady"} == set()
    assert filters_of(stack)[FORBIDDEN]["state"] == "disconnected"
    stack.publisher.send(*pictures(20))
    stack.assert_exactly_stored()
    text = stack.bridge.log_text()
    assert "ended the connection right after SUBSCRIBE" in text and "connection lost" not in text
    rule.on = False
    stack.bridge.wait_until_subscribed()
    assert stack.bridge.status()["state"] == "well"


@pytest.mark.parametrize("version", VERSIONS)
def test_no_subscribe_has_more_filters_than_any_broker_takes(wired, version):
    """Eight are the most with AWS IoT, which closes the connection otherwise."""

    def close_above_eight(link, _packet, filters):
        if len(filters) <= 8:
            return False
        link.end()
        return True

    topics = [f"ia/{number}/#" for number in range(9)]
    stack, _, rule = wired(close_above_eight, MQTT_VERSION=version, TOPIC=",".join(topics))
    stack.bridge.start_subscribed()
    assert rule.times == 0
    stack.publisher.send(*(picture(topic=topic.replace("#", "x")) for topic in topics))
    stack.assert_exactly_stored()


@pytest.mark.parametrize("version", VERSIONS)
def test_a_session_without_its_subscription_does_not_leave_us_deaf(new_stack, version):
    """A broker that lost the subscriptions, and says that the session is present."""
    stack = new_stack(persistent_broker=False, MQTT_VERSION=version, **QUICK)
    stack.broker.start()
    with MqttWire(stack.broker.port) as wire:
        stack.bridge.settings["BROKER_PORT"] = wire.port
        stack.bridge.start_subscribed()

        def claim(link, direction, packet):
            if direction != TO_CLIENT or packet.kind != mqtt.CONNACK:
                return False
            link.send(TO_CLIENT, mqtt.connack(link.level, 0, session_present=True))
            return True

        wire.rules.append(claim)
        stack.broker.stop()
        mark = stack.broker.mark()
        stack.broker.start()
        stack.broker.wait_for_subscription(ALLOWED, since=mark)
        stack.bridge.wait_until_subscribed()
        assert stack.bridge.metric("broker_sessions_lost_total") == 0
        with stack.new_publisher() as publisher:
            publisher.send(*pictures(10))
            stack.assert_exactly_stored()


def test_a_packet_identifier_in_use_costs_no_connection(wired):
    """As mochi-mqtt answers while a delivery of its own has the identifier."""
    ids = []

    def in_use(link, packet, _filters):
        ids.append(packet.id)
        if packet.id > 3:
            return False
        link.send(TO_CLIENT, mqtt.suback(link.level, packet.id, 0x91))
        return True

    stack, wire, _ = wired(in_use, MQTT_VERSION="5")
    stack.bridge.start_subscribed()
    assert ids == [1, 2, 3, 4]
    assert wire.logins == 1
    assert stack.bridge.total("broker_subscribe_failures_total") == 0


@pytest.mark.parametrize("version", VERSIONS)
def test_qos_0_instead_of_more_is_no_guarantee_and_that_is_said(wired, version):
    def grant_0(link, packet, filters):
        if FORBIDDEN not in filters:
            return False
        link.send(TO_CLIENT, mqtt.suback(link.level, packet.id, *[0] * len(filters)))
        return True

    stack, _, _ = wired(grant_0, MQTT_VERSION=version, TOPIC=f"{FORBIDDEN},{ALLOWED}")
    stack.bridge.start_subscribed()
    warning = wait_for_warning(stack, "qos_0_granted")
    assert warning["severity"] == "attention"
    assert FORBIDDEN in warning["cause"] and ALLOWED not in warning["cause"]
    status = stack.bridge.status()
    assert status["state"] == "attention"
    assert "guarantees nothing for 1 of 2 topic filters" in status["sentence"]
    assert filters_of(stack)[FORBIDDEN]["granted_qos"] == 0
    assert filters_of(stack)[FORBIDDEN]["wanted_qos"] == 1
    assert stack.bridge.metric("broker_topic_filters_unguaranteed") == 1
    page = stack.bridge.request("/")[2]
    assert "granted with QoS 0 instead of 1: without any guarantee" in page
