"""/livez, /readyz and /metrics, and that no client of theirs disturbs anybody."""

import contextlib
import itertools
import os
import pathlib
import re
import signal
import socket
import threading
import time

import pytest

from harness.messages import Message, picture, pictures
from harness.ports import free_port
from harness.waiting import stays_true, wait_until

FAMILIES = {
    "messages_received_total": "counter",
    "messages_acknowledged_total": "counter",
    "spool_messages": "gauge",
    "spool_bytes": "gauge",
    "spool_oldest_age_seconds": "gauge",
    "spool_commit_seconds": "histogram",
    "uploads_total": "counter",
    "upload_seconds": "histogram",
    "upload_refusals_total": "counter",
    "refused_messages": "gauge",
    "refusal_oldest_age_seconds": "gauge",
    "dead_letters_total": "counter",
    "broker_connected": "gauge",
    "health_state": "gauge",
    "warning": "gauge",
    "store_reachable": "gauge",
    "upload_slots": "gauge",
    "uploads_in_batches_total": "counter",
    "uploads_live_total": "counter",
}
TOPIC = "ia/rawImage/a/b"


def test_the_metrics_are_valid_and_all_there(new_stack):
    stack = new_stack().start()
    stack.publisher.send(*pictures(3), Message(TOPIC, b"bad"))
    stack.assert_exactly_stored()
    status, headers, body = stack.bridge.request("/metrics")
    assert status == 200
    assert headers["Content-Type"].startswith("text/plain")
    found = stack.bridge.metrics().families
    for name, kind in FAMILIES.items():
        assert f"mqtt_to_blob_{name}" in found, body
        assert found[f"mqtt_to_blob_{name}"].type == kind, name
    ours = [name for name in found if name.startswith("mqtt_to_blob_")]
    assert len(ours) >= len(FAMILIES)


def assert_adds_up(bridge, received):
    metrics = bridge.metrics()
    stored = metrics.value("mqtt_to_blob_uploads_total", 0.0, result="stored")
    spooled = metrics.value("mqtt_to_blob_spool_messages")
    dead = metrics.sum("mqtt_to_blob_dead_letters_total")
    assert metrics.sum("mqtt_to_blob_messages_received_total") == received
    assert received == stored + spooled + dead, (stored, spooled, dead)
    return stored, spooled, dead


def test_the_metrics_add_up_over_a_mixed_run(new_stack):
    stack = new_stack(own_store=True).start()
    sender = stack.publisher
    for message in pictures(60, size=2000):
        sender.publish(message)
        sender.publish(Message(TOPIC, b"{"))
    sender.publish(picture("twice"))
    sender.publish(picture("twice"))
    sender.wait_until_acknowledged()
    stack.assert_exactly_stored()
    stack.bridge.wait_until_spool_is_empty()
    assert assert_adds_up(stack.bridge, 122) == (62, 0, 60)

    stack.store.stop()
    sender.send(*pictures(30), *(Message(TOPIC, b"{") for _ in range(5)))
    wait_until(lambda: stack.bridge.dead_letters() == {"not_json": 65}, 10, "the dead letters")
    stack.bridge.wait_until_acknowledged(157)
    assert assert_adds_up(stack.bridge, 157) == (62, 30, 65)
    assert stack.bridge.metric("spool_bytes") > 30 * 12_000
    wait_until(lambda: stack.bridge.metric("spool_oldest_age_seconds") > 1, 10, "age grows")
    wait_until(lambda: stack.bridge.metric("store_reachable") == 0, 10, "the store is away")
    assert stack.bridge.total("upload_refusals_total") > 0
    assert stack.bridge.metric("broker_connected") == 1
    assert stack.bridge.metric("store_state", state="away") == 1
    assert stack.bridge.metric("spool_used_bytes") > 30 * 12_000

    stack.store.start()
    stack.assert_exactly_stored()
    stack.bridge.wait_until_spool_is_empty()
    assert assert_adds_up(stack.bridge, 157) == (92, 0, 65)
    metrics = stack.bridge.metrics()
    assert metrics.value("mqtt_to_blob_messages_acknowledged_total") == 157
    assert metrics.value("mqtt_to_blob_messages_received_total", qos="1") == 157
    assert metrics.value("mqtt_to_blob_spool_bytes") < 100_000
    assert metrics.value("mqtt_to_blob_spool_oldest_age_seconds") == 0
    assert metrics.value("mqtt_to_blob_upload_seconds_count") >= 92
    assert metrics.value("mqtt_to_blob_spool_used_bytes") < 100_000
    assert metrics.value("mqtt_to_blob_spool_room_bytes") > 0
    assert abs(metrics.value("mqtt_to_blob_store_clock_offset_seconds")) < 10
    for name in ("last_message", "last_upload"):
        assert 0 <= time.time() - metrics.value(f"mqtt_to_blob_{name}_timestamp_seconds") < 60
    assert metrics.value("mqtt_to_blob_spool_commit_seconds_count") > 0


def test_a_backlog_from_before_the_start_is_counted(new_stack):
    stack = new_stack(own_store=True).start()
    stack.store.stop()
    stack.publisher.send(*pictures(40))
    stack.bridge.wait_until_acknowledged(40)
    wait_until(lambda: stack.bridge.metric("spool_oldest_age_seconds") > 1, 10, "age grows")
    stack.bridge.kill()
    stack.bridge.start()
    assert stack.bridge.metric("spool_messages") == 40
    assert stack.bridge.metric("spool_oldest_age_seconds") > 1
    assert stack.bridge.metric("spool_bytes") > 40 * 12_000


def test_ready_follows_the_broker_and_live_does_not(new_stack):
    stack = new_stack().start()
    sender = stack.publisher
    stack.broker.stop()
    sender.publish(picture())
    wait_until(lambda: stack.bridge.status_of("/readyz") == 503, 15, "not ready")
    assert stack.bridge.status_of("/livez") == 200
    stack.broker.start()
    stack.bridge.wait_until_ready()
    sender.wait_until_acknowledged()
    stack.assert_exactly_stored()


def test_ready_means_that_the_broker_is_proven_alive(new_stack):
    stack = new_stack(MQTT_KEEPALIVE="5s").start()
    bridge = stack.bridge
    stays_true(lambda: bridge.status_of("/readyz") == 200, 8, "a quiet broker answers pings")
    stack.broker.send_signal(signal.SIGSTOP)  # its connections stay open
    frozen_at = time.monotonic()
    wait_until(lambda: bridge.status_of("/readyz") == 503, 12, "not ready")
    assert time.monotonic() - frozen_at < 1.5 * 5 + 2
    assert bridge.request("/readyz")[2].startswith("Nothing heard from the broker for ")
    assert (bridge.metric("broker_alive"), bridge.metric("broker_connected")) == (0, 1)
    status = bridge.status()
    assert [each["id"] for each in status["warnings"]] == ["broker_silent"]
    assert status["state"] == status["stages"]["broker"] == "trouble"
    assert status["broker"]["silent_for_seconds"] >= 7
    assert bridge.status_of("/livez") == 200
    stack.broker.send_signal(signal.SIGCONT)
    bridge.wait_until_ready()
    assert bridge.metric("broker_alive") == 1
    stack.publisher.send(picture())
    stack.assert_exactly_stored()


def says(bridge, state, sentence):
    """Whether all that tell how it is tell this: `/readyz`, `/status`, the page and `/metrics`."""
    code, _, body = bridge.request("/readyz")
    document = bridge.status()
    warnings = document["warnings"]
    metrics = bridge.metrics()
    ids = {one for one, value in metrics.by_label("mqtt_to_blob_warning", "id").items() if value}
    return (
        (code, document["state"]) == (503 if state == "trouble" else 200, state)
        and re.match(sentence, body)
        and re.match(sentence, document["sentence"])
        and re.search(sentence, bridge.request("/")[2])
        and metrics.value("mqtt_to_blob_health_state", state=state) == 1
        and ids == {one["id"] for one in warnings}
        and len(body.splitlines()) == 1 + len(warnings)
        and all(one["remedy"] in body for one in warnings)
    )


def test_ready_means_that_pictures_arrive_and_leave_and_all_say_the_same(new_stack):
    stack = new_stack(own_store=True, SPOOL_MAX_BYTES="2MiB", RETRY_MAX_DELAY="500ms").start()
    bridge = stack.bridge

    def wait_for(state, sentence, within=15):
        wait_until(lambda: says(bridge, state, sentence), within, lambda: bridge.request("/readyz"))

    wait_for("well", "All is well: no picture has come yet")
    stack.store.stop()
    stack.publisher.send(*pictures(20, size=20_000))
    wait_for("trouble", r"Store unreachable for \d+ s; 20 pictures")
    stack.store.lock_out()
    stack.store.start()
    wait_for("trouble", r"Store refuses our key for \d+ s; 20 pictures")
    stack.publisher.send(*pictures(200, size=20_000))
    wait_for("trouble", r"Store refuses our key for \d+ s; queue full for .*: no new pictures are taken")
    assert bridge.status_of("/livez") == 200
    assert bridge.run("--health").returncode == 0
    stack.store.stop()
    stack.store.let_in()
    stack.store.start()
    stack.assert_exactly_stored(within=30)
    bridge.wait_until_spool_is_empty()
    wait_for("well", "All is well: (every picture that came is in the bucket|pictures come and go)")


def test_ready_says_why_to_those_who_may_see_the_page(new_stack):
    bridge = new_stack().bridge.start()  # without a broker
    wait_until(lambda: bridge.status()["state"] == "trouble", 15, "it has noticed")
    with socket.create_connection(("127.0.0.1", bridge.status_port), timeout=5) as client:
        client.sendall(b"GET /readyz HTTP/1.1\r\nHost: rebound.example.net\r\n\r\n")
        answer = b"".join(iter(lambda: client.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert answer.endswith(b"\r\n\r\ntrouble\n")
    assert b"broker" not in answer.lower()


@pytest.mark.parametrize("path", ["/nothing", "/livez/more", "/metricsx", "/%2e%2e/etc"])
def test_an_unknown_path_is_not_found(new_stack, path):
    bridge = new_stack().bridge.start()
    assert bridge.status_of(path) == 404


@pytest.mark.parametrize("path", ["/livez", "/metrics"])
def test_head_has_the_status_and_no_body(new_stack, path):
    bridge = new_stack().bridge.start()
    status, _, body = bridge.request(path, "HEAD")
    assert (status, body) == (200, "")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_other_methods_are_refused_and_harm_nothing(new_stack, method):
    bridge = new_stack().bridge.start()
    assert bridge.request("/metrics", method)[0] in (404, 405)
    assert bridge.status_of("/livez") == 200


def test_a_client_that_says_nothing_does_not_block_the_others(new_stack):
    bridge = new_stack().bridge.start()
    silent = [socket.create_connection(("127.0.0.1", bridge.status_port)) for _ in range(4)]
    start = time.monotonic()
    assert bridge.status_of("/livez") == 200
    assert time.monotonic() - start < 1, "a prober of that patience would end the daemon"
    for connection in silent:
        connection.close()


@contextlib.contextmanager
def dribbling_clients(bridge, count):
    """Clients that send one byte of a request after the other, for ever."""
    clients = [socket.create_connection(("127.0.0.1", bridge.status_port)) for _ in range(count)]
    ended = threading.Event()

    def dribble():
        while True:
            for client in clients:
                with contextlib.suppress(OSError):
                    client.send(b"G")
            if ended.wait(0.2):
                return

    thread = threading.Thread(target=dribble)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        for client in clients:
            client.close()


def test_slow_clients_do_not_hold_the_stop(new_stack):
    bridge = new_stack(SHUTDOWN_TIMEOUT="3s").start().bridge
    with dribbling_clients(bridge, 2):
        time.sleep(0.5)  # the daemon is in the middle of their requests
        start = time.monotonic()
        assert bridge.stop(within=10) == 0
        assert time.monotonic() - start < 3


class Flood:
    """Clients that ask for all that takes work, as fast as they can, and read none of the answers."""

    PATHS = ("/status", "/", "/metrics", "/dead-letters/1", "/pictures/1", "/readyz")

    def __init__(self, bridge, count):
        self._port = bridge.status_port
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(count)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _ask(self):
        open_ones = []
        paths = itertools.cycle(self.PATHS)
        while not self._ended.wait(0.01):
            with contextlib.suppress(OSError):
                client = socket.create_connection(("127.0.0.1", self._port), timeout=2)
                client.send(f"GET {next(paths)} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
                open_ones.append(client)
            if len(open_ones) > 20:
                open_ones.pop(0).close()
        for client in open_ones:
            client.close()


def longest_answer(bridge, path, times=10):
    """Seconds; each answer must be there."""
    longest = 0.0
    for _ in range(times):
        start = time.monotonic()
        assert bridge.status_of(path) == 200
        longest = max(longest, time.monotonic() - start)
    return longest


def test_slow_clients_disturb_neither_health_nor_pictures(new_stack):
    stack = new_stack().start()
    bridge = stack.bridge
    quiet = bridge.open_handles()
    with dribbling_clients(bridge, 400):
        assert bridge.run("--health").returncode == 0
        assert longest_answer(bridge, "/livez") < 1, "a prober of that patience would end the daemon"
        assert longest_answer(bridge, "/metrics") < 2
        stack.publisher.send(*pictures(300))
        stack.assert_exactly_stored()
        assert bridge.open_handles() < quiet + 200, "connections are limited"
    assert bridge.log_text().count("ERROR") == 0


def test_a_flood_of_requests_slows_neither_health_nor_pictures(new_stack):
    stack = new_stack().start()
    bridge = stack.bridge
    stack.publisher.send(*pictures(20))
    stack.assert_exactly_stored()
    memory = bridge.private_bytes()
    with Flood(bridge, 4):
        stack.publisher.send(*pictures(300))
        stack.assert_exactly_stored()
        assert longest_answer(bridge, "/livez") < 2
    assert bridge.private_bytes() < memory + 64 * 1024 * 1024


def test_who_asks_has_what_the_pictures_leave_of_the_processors(new_stack):
    bridge = new_stack().bridge.start()
    assert bridge.status_of("/livez") == 200
    niceness = {}
    for thread in pathlib.Path(f"/proc/{bridge.pid}/task").iterdir():
        name, fields = thread.joinpath("comm").read_text().strip(), thread.joinpath("stat").read_text()
        niceness[name] = int(fields.rpartition(")")[2].split()[16])
    asked = {name for name in niceness if re.fullmatch(r"status|http(-\d+)?", name)}
    assert len(asked) >= 3
    ours = os.getpriority(os.PRIO_PROCESS, 0)
    assert {name for name, nice in niceness.items() if nice > ours} == asked


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET / HTTP/1.1\r\nX: " + b"x" * 100_000,
        b"POST /dead-letters/drop HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n{",
        b"POST /dead-letters/drop HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffff\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"\r\n\r\n" * 1000,
    ],
    ids=["endless-head", "large-body", "chunked", "tls", "nothing"],
)
def test_a_request_out_of_bounds_is_ended(new_stack, request_bytes):
    bridge = new_stack().bridge.start()
    with socket.create_connection(("127.0.0.1", bridge.status_port), timeout=5) as client:
        with contextlib.suppress(OSError):
            client.sendall(request_bytes)
            while client.recv(4096):
                pass
    assert bridge.status_of("/livez") == 200


def test_the_status_address_may_be_taken_and_the_flow_goes_on(new_stack):
    with socket.create_server(("127.0.0.1", free_port())) as taken:
        stack = new_stack(STATUS_ADDRESS=f"127.0.0.1:{taken.getsockname()[1]}")
        stack.broker.start()
        stack.bridge.launch()
        stack.broker.wait_for_subscription("ia/rawImage/#")
        stack.publisher.send(picture())
        stack.assert_exactly_stored()
