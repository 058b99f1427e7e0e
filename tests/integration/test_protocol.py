"""MQTT versions, filters, shared subscriptions and sessions."""

import os
import pathlib
import re

import pytest

from harness.messages import Message, picture, pictures
from harness.proxy import OldBrokerProxy
from harness.volumes import Injection, with_slow_disk
from harness.waiting import stays_true, wait_until

FILTER = "ia/rawImage/#"


def granted(stack, topic_filter, since=0):
    """QoS of each subscription to the filter, in order."""
    return [qos for _, qos, topic in stack.broker.subscriptions(since) if topic == topic_filter]


def connection_of(stack):
    """The bridge's newest one as the broker noted it: client id, p5 or p2 (3.1.1), c0 or c1."""
    found = re.findall(
        r"New client connected from \S+ as (\S+) \((p\d), (c\d)", stack.broker.log_text()
    )
    return [note for note in found if not note[0].startswith("publisher")][-1]


@pytest.mark.parametrize("answer", ["code", "close"])
def test_auto_falls_back_to_3_1_1_where_the_broker_knows_no_5(new_stack, answer):
    stack = new_stack()
    stack.broker.start()
    with OldBrokerProxy(stack.broker, answer) as proxy:
        stack.bridge.settings |= {"BROKER_PORT": proxy.port, "MQTT_VERSION": "auto"}
        stack.bridge.start_subscribed()
        assert proxy.levels[0] == 5 and proxy.levels[-1] == 4
        stack.publisher.send(*pictures(20))
        stack.assert_exactly_stored()
        stack.bridge.kill()
        stack.publisher.send(*pictures(20))
        stack.bridge.start_subscribed()
        stack.assert_exactly_stored()


def test_auto_speaks_5_where_the_broker_knows_it(new_stack):
    stack = new_stack().start()
    assert connection_of(stack)[1:] == ("p5", "c0")
    assert granted(stack, FILTER) == [1]


@pytest.mark.parametrize("version, noted", [("3.1.1", "p2"), ("5", "p5")])
def test_the_version_can_be_fixed(new_stack, version, noted):
    stack = new_stack(MQTT_VERSION=version).start()
    assert connection_of(stack)[1:] == (noted, "c0")
    stack.publisher.send(*pictures(5))
    stack.assert_exactly_stored()


def test_a_fixed_5_does_not_fall_back(new_stack):
    stack = new_stack()
    stack.broker.start()
    with OldBrokerProxy(stack.broker) as proxy:
        stack.bridge.settings |= {"BROKER_PORT": proxy.port, "MQTT_VERSION": "5"}
        stack.bridge.start()
        stack.bridge.wait_for_log(re.compile(r" (WARNING|ERROR) +\S+: .*(protocol|version)", re.I))
        wait_until(lambda: len(proxy.levels) >= 3, 15, "it tries again")
        assert set(proxy.levels) == {5}
        assert stack.bridge.status_of("/livez") == 200


def test_auto_goes_back_to_5_when_the_broker_was_only_away(new_stack):
    """A broker that is down must not be taken for one that knows no 5."""
    stack = new_stack().start()
    stack.broker.stop()
    stays_true(lambda: stack.bridge.running, 2, "the daemon runs")
    stack.broker.start()
    stack.bridge.wait_until_subscribed()
    assert connection_of(stack)[1] == "p5"


def test_qos_2_works_with_5(new_stack):
    stack = new_stack(MQTT_VERSION="5", MQTT_QOS=2).start()
    assert granted(stack, FILTER) == [2]
    stream = stack.stream(pictures(300), per_second=200, qos=2)
    stack.kill_bridge_while(stream, every=0.5)
    stack.assert_exactly_stored()
    received = stack.bridge.metrics().by_label("mqtt_to_blob_messages_received_total", "qos")
    assert set(qos for qos, count in received.items() if count) <= {"2"}


def test_qos_2_is_subscribed_at_1_where_the_broker_knows_no_5_and_that_is_said(new_stack):
    stack = new_stack(MQTT_QOS=2)
    stack.broker.start()
    with OldBrokerProxy(stack.broker) as proxy:
        stack.bridge.settings |= {"BROKER_PORT": proxy.port}
        stack.bridge.start_subscribed()
        assert granted(stack, FILTER) == [1]
        stack.bridge.wait_for_log(re.compile(r" WARNING +\S+: .*QoS", re.I))
        stack.publisher.send(*pictures(10), qos=2)
        stack.assert_exactly_stored()


def test_qos_2_with_a_fixed_3_1_1_is_refused(new_stack):
    run = new_stack().bridge.run("--check", MQTT_VERSION="3.1.1", MQTT_QOS="2")
    assert run.returncode == 78
    assert "MQTT_QOS" in run.stderr


def test_qos_0_can_be_had(new_stack):
    stack = new_stack(MQTT_QOS=0).start()
    assert granted(stack, FILTER) == [0]
    stack.publisher.send(*pictures(10))
    stack.assert_exactly_stored()


def test_two_bridges_share_the_load(new_stack):
    shared = "$share/bridges/ia/rawImage/#"
    stack = new_stack(TOPIC=shared).start()
    second = stack.new_bridge("second").start_subscribed()
    stack.publisher.send(*pictures(300, size=3000))
    stack.assert_exactly_stored()
    counts = [bridge.total("messages_received_total") for bridge in (stack.bridge, second)]
    assert min(counts) > 0 and sum(counts) == 300, counts


def test_several_filters_are_served(new_stack):
    stack = new_stack(TOPIC="ia/rawImage/#,ia/+/+/+/productImage,other/place").start()
    messages = [
        picture(topic=topic)
        for topic in ("ia/rawImage/a/b", "ia/customer/aachen/machine/productImage", "other/place")
    ]
    stack.publisher.send(*messages, picture(topic="ia/rawImage"))
    stack.new_publisher(judged=False).send(picture(topic="other/place/below"))
    stack.assert_exactly_stored()
    for topic_filter in ("ia/rawImage/#", "ia/+/+/+/productImage", "other/place"):
        assert granted(stack, topic_filter) == [1]


def test_overlapping_filters_store_a_picture_once_and_right(new_stack):
    stack = new_stack(TOPIC="ia/#,ia/rawImage/#").start()
    stack.publisher.send(*pictures(20))
    stack.assert_exactly_stored()


def test_a_filter_that_is_no_longer_set_is_unsubscribed(new_stack):
    stack = new_stack(TOPIC="ia/old/#,ia/both/#").start()
    stack.publisher.send(picture(topic="ia/old/camera"), picture(topic="ia/both/camera"))
    stack.assert_exactly_stored()
    stack.bridge.stop()
    stack.bridge.settings["TOPIC"] = "ia/new/#,ia/both/#"
    stack.bridge.start_subscribed()
    # The last of these is received after the others, if they come at all.
    stack.new_publisher(judged=False).send(*(picture(topic="ia/old/camera") for _ in range(5)))
    stack.publisher.send(picture(topic="ia/both/camera"), picture(topic="ia/new/camera"))
    stack.assert_exactly_stored()
    stack.bridge.wait_until_spool_is_empty()
    assert stack.bridge.total("messages_received_total") == 2
    stack.assert_exactly_stored()


def test_messages_sent_while_the_daemon_was_away_are_stored(new_stack):
    stack = new_stack().start()
    stack.bridge.stop()
    stack.publisher.send(*pictures(300, size=3000))
    stack.bridge.start()
    stack.assert_exactly_stored(within=30)


@pytest.mark.parametrize("disk", ["as it is", "slow"])
def test_the_client_id_outlives_a_kill_right_after_the_first_subscription(new_stack, disk):
    """From that moment on the broker holds messages under this name, and under no other."""
    stack = new_stack()
    if disk == "slow":
        stack.bridge = stack.new_bridge("slow", wrapper=with_slow_disk(0.3))
    stack.broker.start()
    sender = stack.publisher
    stack.bridge.launch()
    stack.broker.wait_for_subscription(FILTER)
    stack.bridge.kill()
    first = connection_of(stack)[0]
    sender.send(*pictures(5))
    stack.bridge.start_subscribed()
    assert connection_of(stack)[0] == first
    stack.assert_exactly_stored()


def test_bridges_with_spools_of_their_own_have_names_of_their_own(new_stack):
    stack = new_stack().start()
    first = connection_of(stack)[0]
    stack.new_bridge("other").start_subscribed()
    assert connection_of(stack)[0] != first


def socket_to(bridge, port):
    """What /proc calls the socket of its connection to that port on the loopback."""
    for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, _, peer, state, *_, inode = line.split()[:10]
        is_connected = state == "01"
        if is_connected and int(peer.split(":")[1], 16) == port:
            name = f"socket:[{inode}]"
            files = pathlib.Path(f"/proc/{bridge.pid}/fd").iterdir()
            if any(os.readlink(file) == name for file in files):
                return name
    raise AssertionError(f"no connection to {port}")


def test_acknowledgements_that_cannot_be_sent_do_not_stop_the_flow(new_stack):
    """As on a machine whose memory is used up for a moment: the connection itself is well."""
    stack = new_stack().start()
    connection = socket_to(stack.bridge, stack.broker.port)
    mark = stack.bridge.mark()
    with Injection(stack.bridge.pid, {"writev": "error=ENOBUFS"}, only=connection):
        # More than the broker leaves unacknowledged.
        stack.publisher.send(*pictures(300))
        stack.bridge.wait_for_log(re.compile("connection lost"), 20, mark)
    stack.assert_exactly_stored()


@pytest.mark.parametrize("group_commit", ["True", "False"])
def test_clearing_a_retained_picture_is_no_fault(new_stack, group_commit):
    stack = new_stack(MQTT_GROUP_COMMIT=group_commit).start()
    kept = picture()
    stack.publisher.send(kept, retain=True)
    for number, retain in enumerate([True, False], 1):
        with stack.new_publisher(judged=False) as publisher:
            publisher.send(Message(kept.topic, b""), retain=retain)
        wait_until(
            lambda: stack.bridge.total("messages_empty_total") == number, 15, "it is counted"
        )
    stack.publisher.send(picture())
    stack.assert_exactly_stored()
    wait_until(
        lambda: stack.bridge.total("messages_acknowledged_total") == 4, 15, "all are acknowledged"
    )
    assert stack.bridge.dead_letters() == {}
    assert stack.bridge.metric("spool_account_messages", account="received") == 2
    assert stack.bridge.status()["state"] == "well"
