"""Web clients and local users who mean harm, at the status listener and at the control socket: they
cost little memory, never end the process, and pictures flow meanwhile."""

import base64
import contextlib
import os
import pathlib
import re
import resource
import socket
import struct
import threading
import time
import zlib

import pytest

from harness.messages import Message, picture, pictures
from harness.stack import Stack
from harness.volumes import Injection
from harness.waiting import wait_until

TOKEN = "a-token-of-some-length"
MIB = 1024 * 1024
MAX_GROWTH = 64 * MIB
PATIENCE = 60  # seconds; only ends a test that hangs
DOORS = ["status", "control"]

# 1 GiB of zeros, which brotli packs into 809 bytes.
BROTLI_BOMB = zlib.decompress(base64.b85decode(
    "c-lMv|9?G$3d5s~4n^<(|NQ@-zk$U;My%o8U;F?6|1(Zt=s3)DVekLv|Nq-F2r(2!FzovN|Ih#b><&x{eB2J-"
    "|IG)gV(?%%lF0bt-v7`4|I0IQHdyE|-2Gku@Be>h1xA5()&<r7&qFQQz)&)3$*3hm#1gP7m?iuG_(iWU"
))  # fmt: skip


class Door:
    """One of the two servers, as an attacker reaches it."""

    def __init__(self, bridge, name):
        self.name = name
        self._bridge = bridge
        # What gives the largest answer there, and what answers anybody.
        self.large = "/pictures/1" if name == "status" else "/dead-letters/2"
        self.health = "/livez" if name == "status" else "/spool"

    def connect(self):
        if self.name == "status":
            client = socket.create_connection(("127.0.0.1", self._bridge.status_port), timeout=PATIENCE)
        else:
            client = socket.socket(socket.AF_UNIX)
            # A path of a socket has 107 bytes at most, the folder's may be longer.
            folder = os.open(self._bridge.spool_dir, os.O_PATH | os.O_DIRECTORY)
            client.connect(f"/proc/self/fd/{folder}/control")
            os.close(folder)
            client.settimeout(PATIENCE)
        return client

    def say(self, request):
        """All that is answered until the connection ends. A reset, also while we are sending, is an
        end like any other."""
        heard = b""
        with self.connect() as client, contextlib.suppress(ConnectionError):
            with contextlib.suppress(ConnectionError):
                client.sendall(request)
            while part := client.recv(65536):
                heard += part
        return heard

    def is_well(self):
        return self.say(get(self.health)).startswith(b"HTTP/1.1 200 ")


def get(path, *lines):
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: localhost", *lines, "", ""]).encode()


def post(*lines, body=b""):
    head = ["POST /dead-letters/drop HTTP/1.1", "Host: localhost", *lines, "", ""]
    return "\r\n".join(head).encode() + body


def status_of(answer):
    """Of the one answer that there must be."""
    found = re.findall(rb"HTTP/1\.1 (\d{3}) ", answer)
    assert answer.startswith(b"HTTP/1.1 ") and len(found) == 1, answer[:300]
    return int(found[0])


def memory_of(pid, name):
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(rf"^{name}:\s+(\d+) kB$", text, re.MULTILINE).group(1)) * 1024


@pytest.fixture(scope="module")
def shared(tmp_path_factory, minio, shared_store):
    """A bridge for all attacks: that it outlives every one of them is what they are for."""
    stack = Stack(tmp_path_factory.mktemp("listener"), minio, store=shared_store, STATUS_TOKEN=TOKEN)
    stack.start()
    # Two dead letters, the second of several answers.
    dead = stack.new_publisher(judged=False)
    dead.send(Message("ia/rawImage/a/b", b"{"))
    wait_until(lambda: stack.bridge.metric("dead_letters") == 1, PATIENCE, "the first letter")
    dead.send(Message("ia/rawImage/a/b", b"{" + b"x" * (6 * MIB)))
    wait_until(lambda: stack.bridge.metric("dead_letters") == 2, PATIENCE, "the second letter")
    assert stack.bridge.stop() == 0
    stack.bridge.start_subscribed()
    # The largest picture that the page keeps.
    stack.publisher.send(picture(size=1_000_000))
    stack.assert_exactly_stored(PATIENCE)
    stack.idle_memory = memory_of(stack.bridge.pid, "VmRSS")
    yield stack
    stack.bridge.stop()
    stack.broker.stop()
    stack.close()


@pytest.fixture
def attacked(shared):
    """The stack under attack: afterwards it has taken little memory and lost nothing."""
    pid = shared.bridge.pid
    pathlib.Path(f"/proc/{pid}/clear_refs").write_text("5")  # proc(5): the peak begins anew
    shared.publisher.send(*pictures(20))
    yield shared
    shared.publisher.send(*pictures(20))
    shared.assert_exactly_stored(PATIENCE)
    assert shared.bridge.running and shared.bridge.pid == pid
    assert shared.bridge.status_of("/livez") == 200
    growth = memory_of(pid, "VmHWM") - shared.idle_memory
    assert growth < MAX_GROWTH, growth / MIB


@pytest.fixture(params=DOORS)
def door(request, attacked):
    return Door(attacked.bridge, request.param)


def length(count):
    return f"Content-Length: {count}"


CHUNKED = "Transfer-Encoding: chunked"
CHUNKS = b"5\r\nhello\r\n0\r\n\r\n"
SMUGGLED = get("/metrics")
# name -> (request, the statuses that are right)
REQUESTS = {
    "brotli bomb": (
        post("Content-Encoding: br", length(len(BROTLI_BOMB)), body=BROTLI_BOMB), {415}),
    "brotli bomb to nowhere": (
        b"POST /nothing HTTP/1.1\r\nHost: x\r\nContent-Encoding: br\r\nContent-Length: 809\r\n\r\n"
        + BROTLI_BOMB, {415}),
    "multipart": (
        post("Content-Type: multipart/form-data; boundary=x", length(4000), body=b"--x\r\n\r\n" * 500
             + b"x" * 500), {400, 401}),
    "length and chunked": (post(length(5), CHUNKED, body=CHUNKS + SMUGGLED), {400, 411}),
    "chunked and length": (post(CHUNKED, length(5), body=CHUNKS + SMUGGLED), {400, 411}),
    "two lengths": (post(length(5), length(0), body=b"hello" + SMUGGLED), {400}),
    "one length twice": (post(length(5), length(5), body=b"hello" + SMUGGLED), {400}),
    "list of lengths": (post("Content-Length: 5, 5", body=b"hello" + SMUGGLED), {400}),
    "chunked": (post(CHUNKED, body=CHUNKS + SMUGGLED), {411}),
    "chunked with a blank": (post("Transfer-Encoding : chunked", body=CHUNKS + SMUGGLED), {400}),
    "chunked by a tab": (post("Transfer-Encoding:\tchunked", body=CHUNKS + SMUGGLED), {411}),
    "folded chunked": (post("Transfer-Encoding:\r\n chunked", body=CHUNKS + SMUGGLED), {400, 411}),
    "unknown coding": (post("Transfer-Encoding: xchunked", body=CHUNKS + SMUGGLED), {411}),
    "negative length": (post(length(-1), body=SMUGGLED), {400}),
    "plus length": (post("Content-Length: +5", body=b"hello" + SMUGGLED), {400}),
    "hexadecimal length": (post("Content-Length: 0x5", body=b"hello" + SMUGGLED), {400}),
    "length of a gigabyte": (post(length(2**30), body=b"{"), {413}),
    "length of 2^64 - 1": (post(length(2**64 - 1), body=b"{"), {413}),
    "length of 2^64": (post(length(2**64), body=b"{"), {400}),
    "body beyond its length": (post(length(2), body=b"{}" + b"x" * 200_000), {400, 401}),
    "pipelined": (get("/nothing") * 100, {404}),
    "giant target": (get("/" + "x" * 100_000), {431}),
    "giant field": (get("/nothing", "X: " + "x" * 1_000_000), {431}),
    "endless fields": (get("/nothing", *["a:"] * 100_000), {431}),
    "101 fields": (get("/nothing", *["a:"] * 100), {431}),
    "HTTP/0.9": (b"GET /\r\n", {400}),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9), {400}),
    "HTTP/9.9": (b"GET / HTTP/9.9\r\n\r\n", {400}),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", {400}),
    "empty lines": (b"\r\n" * 10_000, {400}),
    "zero in the target": (b"GET /\0livez HTTP/1.1\r\nHost: x\r\n\r\n", {400}),
    "zero in a name": (b"GET /nothing HTTP/1.1\r\nHo\0st: x\r\n\r\n", {400}),
    "zero in a value": (b"GET /nothing HTTP/1.1\r\nHost: x\0y\r\n\r\n", {400}),
    "line feeds alone": (b"GET /nothing HTTP/1.1\nHost: x\n\n", {400}),
    "two hosts": (get("/nothing", "Host: other.example.net"), {400}),
    "climbing": (get("/../../../etc/passwd"), {404}),
    "escaped climbing": (get("/%2e%2e/%2e%2e/etc/passwd"), {404}),
    "absolute target": (get("http://169.254.169.254/latest"), {404}),
    "OPTIONS": (b"OPTIONS /dead-letters/drop HTTP/1.1\r\nHost: x\r\nOrigin: http://evil\r\n\r\n", {405}),
    "OPTIONS *": (b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", {404}),
    "TRACE": (b"TRACE /dead-letters/1 HTTP/1.1\r\nHost: x\r\nX: <script>\r\n\r\n", {405}),
    "CONNECT": (b"CONNECT 169.254.169.254:80 HTTP/1.1\r\nHost: x\r\n\r\n", {404}),
    "unknown method": (b"BREW /dead-letters/1 HTTP/1.1\r\nHost: x\r\n\r\n", {405}),
    "upgrade to HTTP/2": (
        get("/nothing", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAAA"),
        {404}),
    "upgrade to WebSocket": (
        get("/nothing", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="), {404}),
    "unknown expectation": (get("/nothing", "Expect: the-spanish-inquisition"), {404}),
}  # fmt: skip


@pytest.mark.parametrize("door", DOORS, indirect=True)
def test_each_hostile_request_has_one_short_answer(door):
    for name, (request, right) in REQUESTS.items():
        answer = door.say(request)
        assert status_of(answer) in right, (name, answer[:300])
        assert len(answer) < 1000 and b"Connection: close" in answer, (name, answer)
        if door.name == "status":
            assert b"X-Content-Type-Options: nosniff" in answer, (name, answer)
    assert door.is_well()


@pytest.mark.parametrize("door", DOORS, indirect=True)
def test_ranges_are_not_computed(door):
    token = f"Authorization: Bearer {TOKEN}"
    whole = door.say(get(door.large, token))
    ranges = door.say(get(door.large, token, "Range: bytes=" + ",".join(["0-"] * 2000)))
    assert status_of(whole) == status_of(ranges) == 200
    assert len(ranges) == len(whole) > 900_000


@pytest.mark.parametrize("door", DOORS, indirect=True)
def test_who_expects_100_continue_is_told_once(door):
    with door.connect() as client:
        client.sendall(post("Expect: 100-continue", length(2)))
        assert client.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(b"{}")
        assert status_of(client.recv(1000)) in (400, 401)


class Dribble:
    """Clients that begin to say something and go on with it, byte by byte. Those that are cut are
    followed by new ones."""

    def __init__(self, door, count, beginning):
        self._door, self._count, self._beginning = door, count, beginning
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self):
        self._clients = [self._new() for _ in range(self._count)]
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._ended.set()
        self._thread.join()
        for client in self._clients:
            client.close()

    def _new(self):
        client = self._door.connect()
        client.sendall(self._beginning)
        return client

    def _run(self):
        while not self._ended.wait(0.1):
            for number, client in enumerate(self._clients):
                try:
                    client.send(b"x")
                except OSError:
                    client.close()
                    self._clients[number] = self._new()


@pytest.mark.parametrize(
    "beginning",
    [b"", get("/livez")[:-2] + b"X: ", post(length(8000))],
    ids=["nothing", "header", "body"],
)
@pytest.mark.parametrize("door", DOORS, indirect=True)
def test_slow_clients_keep_nobody_waiting(door, beginning):
    with Dribble(door, 300, beginning):
        for _ in range(10):
            start = time.monotonic()
            assert door.is_well()
            assert time.monotonic() - start < 5


@pytest.mark.parametrize("door", DOORS, indirect=True)
def test_many_connections_keep_nobody_waiting(door):
    with contextlib.ExitStack() as held:
        for number in range(2000):
            client = held.enter_context(door.connect())
            with contextlib.suppress(ConnectionError):
                client.sendall(b"GET /")
            if number % 200 == 0:
                assert door.is_well()
        assert door.is_well()


@pytest.mark.parametrize("door", DOORS, indirect=True)
def test_large_answers_that_nobody_reads_cost_little(door):
    request = get(door.large, f"Authorization: Bearer {TOKEN}")
    with contextlib.ExitStack() as deaf:
        for _ in range(300):
            client = deaf.enter_context(door.connect())
            with contextlib.suppress(ConnectionError):
                client.sendall(request)
        # Who comes while all others wait for an answer in the making is turned away.
        wait_until(door.is_well, PATIENCE, "it answers")


@pytest.mark.parametrize("error", ["ENFILE", "ENOMEM", "ECONNABORTED"])
def test_an_accept_that_fails_closes_nothing(attacked, error):
    doors = [Door(attacked.bridge, name) for name in DOORS]
    fault = f"error={error}:when=2..4"  # of each thread, so of each of the two
    with Injection(attacked.bridge.pid, {"accept": fault, "accept4": fault}):
        for _ in range(10):
            # Nobody is refused, which connect() would say.
            assert all(door.is_well() for door in doors)


def test_no_descriptors_are_a_pause(attacked):
    bridge = attacked.bridge
    before = resource.prlimit(bridge.pid, resource.RLIMIT_NOFILE)
    doors = [Door(bridge, name) for name in DOORS]
    # Those of the connections of MQTT and S3 stay open.
    resource.prlimit(bridge.pid, resource.RLIMIT_NOFILE, (3, before[1]))
    try:
        clients = [door.connect() for door in doors for _ in range(20)]
        for client in clients:
            client.sendall(get("/nothing"))
        wait_until(lambda: "cannot accept connections" in bridge.log_text(), PATIENCE, "it is told")
    finally:
        resource.prlimit(bridge.pid, resource.RLIMIT_NOFILE, before)
    for client in clients:
        assert status_of(client.recv(1000)) == 404
        client.close()
    assert all(door.is_well() for door in doors)
    assert bridge.log_text().count("cannot accept connections") <= 2


@pytest.mark.parametrize("limit", [64, 128])
def test_held_connections_leave_descriptors_for_the_flow(new_stack, limit):
    stack = new_stack()
    stack.bridge.wrapper = ["prlimit", f"--nofile={limit}"]
    stack.start()
    stack.publisher.send(*pictures(20))
    stack.assert_exactly_stored(PATIENCE)
    door = Door(stack.bridge, "status")
    with Dribble(door, 300, b"G"):
        # New connections for the broker and, after the pause, for the store.
        for _ in range(3):
            stack.broker.stop()
            stack.broker.start()
            stack.publisher.send(*pictures(100, size=2000))
            stack.assert_exactly_stored(PATIENCE)
        wait_until(door.is_well, PATIENCE, "it answers")
    assert stack.bridge.stop() == 0


def test_wrong_tokens_are_slow_and_the_right_one_is_not(attacked):
    door = Door(attacked.bridge, "status")

    def guess(token):
        return get("/dead-letters/1", f"Authorization: Bearer {token}")

    start = time.monotonic()
    assert status_of(door.say(guess("x" * len(TOKEN)))) == 401
    assert time.monotonic() - start >= 1
    with contextlib.ExitStack() as held:
        guessing = [held.enter_context(door.connect()) for _ in range(500)]
        for number, client in enumerate(guessing):
            with contextlib.suppress(ConnectionError):
                client.sendall(guess(f"{number:022}"))
        start = time.monotonic()
        # Who comes while all others wait for an answer in the making is turned away, and asks again.
        right = lambda: door.say(guess(TOKEN)).startswith(b"HTTP/1.1 200 ")  # noqa: E731
        wait_until(right, PATIENCE, "who knows the token is let in")
        wait_until(door.is_well, PATIENCE, "it answers")
        told = 0
        for client in guessing:
            with contextlib.suppress(ConnectionError):
                told += status_of(answer) == 401 if (answer := client.recv(1000)) else 0
    # As many as wait at a time (HttpLimits), and a few whose time was over before.
    assert 1 <= told < 200, told
    assert time.monotonic() - start < PATIENCE


@pytest.mark.parametrize("door", DOORS, indirect=True)
def test_resets_and_half_closed_connections_leave_nothing_behind(door, attacked):
    quiet = attacked.bridge.open_handles()
    for number in range(300):
        client = door.connect()
        with contextlib.suppress(ConnectionError):
            client.sendall(get(door.health)[: number % 40])
            if number % 2:
                client.shutdown(socket.SHUT_WR)
            elif door.name == "status":
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
    assert door.is_well()
    wait_until(lambda: attacked.bridge.open_handles() <= quiet + 5, PATIENCE, "all are closed")
