"""Peers that do harm with TLS itself, in the place of the broker and of the store: each attempt ends,
memory stays, nothing is told to who is not the peer, and the flow goes on with the right one."""

import contextlib
import os
import socket
import ssl
import subprocess
import threading
import time

import pytest

from harness.acceptor import shut
from harness.certificates import Authority
from harness.messages import pictures
from harness.ports import free_port
from harness.store import Store
from harness.waiting import wait_until
from harness.wire import Wire

MEBIBYTE = 1 << 20
NAME = "localhost"
MORE_BYTES = 16 * MEBIBYTE  # than before the attack
ATTEMPTS = 2
ANSWERS_WITHIN = 5  # the status listener, on a busy machine

ALERT, HANDSHAKE, DATA = 21, 22, 23
WARNING = b"\x01"


def record(kind, body):
    return bytes([kind]) + b"\x03\x03" + len(body).to_bytes(2, "big") + body


def handshake(kind, body, claimed_bytes=None):
    size = len(body) if claimed_bytes is None else claimed_bytes
    message = bytes([kind]) + size.to_bytes(3, "big") + body
    return b"".join(record(HANDSHAKE, message[at : at + 16384]) for at in range(0, len(message), 16384))


def server_hello(extensions):
    """Of TLS 1.2."""
    session, suite, compression = b"\0", b"\xc0\x2b", b"\0"
    hello = b"\x03\x03" + os.urandom(32) + session + suite + compression
    return handshake(2, hello + len(extensions).to_bytes(2, "big") + extensions)


def extension(number, body):
    return number.to_bytes(2, "big") + len(body).to_bytes(2, "big") + body


# What a peer does with a connection: attack(client, door). It returns when the other side has ended
# it, and not before.


def hold(client):
    """Reads and says nothing."""
    while client.recv(1 << 16):
        pass


def say(data):
    def attack(client, _):
        client.recv(1)  # the ClientHello has come
        client.sendall(data)
        hold(client)

    return attack


def repeat(unit):
    """Without end."""
    chunk = unit * max(1, (1 << 16) // len(unit))

    def attack(client, _):
        client.recv(1)
        while True:
            client.sendall(chunk)

    return attack


def hold_from_the_start(client, _):
    hold(client)


def shake_hands_slowly(client, door):
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = door.peers["right"].server_context().wrap_bio(incoming, outgoing, server_side=True)
    incoming.write(client.recv(1 << 16))
    with contextlib.suppress(ssl.SSLWantReadError):
        server.do_handshake()
    for byte in outgoing.read():
        client.sendall(bytes([byte]))
        time.sleep(0.5)
    hold(client)


def shake_hands(peer="right", then=hold, **options):
    """As that peer, if the client goes along."""

    def attack(client, door):
        context = door.peers[peer].server_context()
        for name, value in options.items():
            context.set_ciphers(value) if name == "ciphers" else setattr(context, name, value)
        with context.wrap_socket(client, server_side=True) as server:
            then(door.hear(server, peer))

    return attack


def answer_half_and_end(server):
    server.recv(1)
    server.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
    # Python closes without a close_notify.


def speak_in_single_bytes(server):
    for _ in range(20_000):
        server.sendall(b"H")
    hold(server)


def press(key, version):
    """With OpenSSL's own server, which does on command what Python's cannot."""

    def attack(client, door):
        port, peer = free_port(), door.peers["right"]
        process = subprocess.Popen(
            ["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-naccept", "1", version,
             "-cert", peer.certificate, "-key", peer.key],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            with contextlib.closing(wait_until(lambda: connected(port), 20, "s_server")) as server:
                threads = [
                    threading.Thread(target=pass_on, args=(source, target), daemon=True)
                    for source, target in ((client, server), (server, client))
                ]
                for thread in threads:
                    thread.start()
                while threads[0].is_alive():
                    with contextlib.suppress(BrokenPipeError):
                        os.write(process.stdin.fileno(), key)  # one at a time is a command
                    threads[0].join(0.003)
                threads[1].join()
        finally:
            process.kill()
            process.wait()
            process.stdin.close()

    return attack


def connected(port):
    try:
        return socket.create_connection(("127.0.0.1", port))
    except OSError:
        return None


def pass_on(source, target):
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
    for end in (source, target):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


ATTACKS = {
    "before there is a session": {
        "silence": hold_from_the_start,
        "garbage": say(os.urandom(MEBIBYTE)),
        "plain text": say(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        "a flood of zeros": repeat(bytes(1 << 16)),
        "a flood of warnings": repeat(record(ALERT, WARNING + b"\x5a")),
        "a flood of empty records": repeat(record(DATA, b"")),
        "a flood of empty handshake records": repeat(record(HANDSHAKE, b"")),
        "a flood of requests to begin anew": repeat(handshake(0, b"")),
        "a hello of 16 MiB": say(handshake(2, bytes(4 * MEBIBYTE), claimed_bytes=(1 << 24) - 1)),
        "a certificate of 16 MiB": say(
            server_hello(extension(0xFF01, b"\0"))
            + handshake(11, bytes(4 * MEBIBYTE), claimed_bytes=(1 << 24) - 1)
        ),
        "an ALPN answer of 60 KB": say(server_hello(extension(16, b"\xea\x5e" + b"\xff" * 59_998))),
        "a name answer of 60 KB": say(server_hello(extension(0, bytes(60_000)))),
        "a slow handshake": shake_hands_slowly,
    },
    "with certificates": {
        "a chain of 100": shake_hands("chain of 100"),
        "a chain of 1 MB": shake_hands("chain of 1 MB"),
        "3,000 names": shake_hands("3,000 names"),
        "30,000 names": shake_hands("30,000 names"),
        "a name up to its NUL": shake_hands("NUL"),
        "a stranger's certificate": shake_hands("stranger"),
        "TLS 1.0 alone": shake_hands(
            ciphers="ALL:@SECLEVEL=0",
            minimum_version=ssl.TLSVersion.TLSv1,
            maximum_version=ssl.TLSVersion.TLSv1,
        ),
    },
    "in a session": {
        "silence": shake_hands(),
        "half an answer, and the end": shake_hands(then=answer_half_and_end),
        "records of one byte": shake_hands(then=speak_in_single_bytes),
        "20,000 session tickets": shake_hands(num_tickets=20_000),
        "endless renegotiation": press(b"R", "-tls1_2"),
        "endless new keys": press(b"K", "-tls1_3"),
    },
}
# Of these nobody may hear a word: it would be the login, or the signed request.
NO_PEERS = {"chain of 100", "chain of 1 MB", "30,000 names", "NUL", "stranger"}


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def peers(tmp_path_factory, authority):
    stranger = Authority(tmp_path_factory.mktemp("stranger"), "stranger")
    made = {
        "right": authority.issue("right"),
        "stranger": stranger.issue("strange"),
        "NUL": authority.issue("nul", names=[f"{NAME}\0.evil.example"]),
        "3,000 names": authority.issue("names", names=[*map("n{}.example".format, range(3000)), NAME]),
        "30,000 names": authority.issue("names", names=[*map("n{}.example".format, range(30_000)), NAME]),
    }
    for count, name in ((100, "chain of 100"), (2000, "chain of 1 MB")):
        made[name] = stranger.issue(f"chain-{count}")
        with open(made[name].certificate, "ab") as file:
            for _ in range(count):
                file.write(made["stranger"].certificate.read_bytes())
    return made


@pytest.fixture(scope="module")
def https_store(tmp_path_factory, minio, authority):
    store = Store(tmp_path_factory.mktemp("https"), minio, "https-store", authority=authority)
    store.start()
    yield store
    store.end()


class Door(Wire):
    """Leads to the right peer, or to an attack."""

    def __init__(self, server_port, peers):
        self.peers = peers
        self.attack = None
        self.attacked = 0
        self.under_way = 0
        self.heard = []  # (peer, what it was told)
        super().__init__(server_port)

    def admit(self, client):
        if self.attack is None:
            super().admit(client)
            return
        self.attacked += 1
        self.under_way += 1
        threading.Thread(target=self._attack, args=(self.attack, client), daemon=True).start()

    def _attack(self, attack, client):
        try:
            with contextlib.suppress(OSError):
                attack(client, self)
        finally:
            shut(client)
            self.under_way -= 1

    def hear(self, server, peer):
        heard = self.heard

        class Listening:
            def recv(self, size):
                data = server.recv(size)
                if data:
                    heard.append((peer, data[:100]))
                return data

            def sendall(self, data):
                server.sendall(data)

        return Listening()


class Watch(threading.Thread):
    """The bridge's memory, and whether it answers."""

    def __init__(self, bridge):
        super().__init__(daemon=True)
        self._bridge = bridge
        self._over = threading.Event()
        self.most_bytes = 0
        self.slowest = 0
        self.refused = []

    def run(self):
        while not self._over.wait(0.05):
            began = time.monotonic()
            if self._bridge.status_of("/livez") != 200:
                self.refused.append(time.strftime("%H:%M:%S"))
            self.slowest = max(self.slowest, time.monotonic() - began)
            self.most_bytes = max(self.most_bytes, self._bridge.private_bytes())

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self.join()


def assert_it_holds(stack, door, attacks):
    for name, attack in attacks.items():
        before = stack.bridge.private_bytes()
        with Watch(stack.bridge) as watch:
            door.attacked, door.attack = 0, attack
            door.cut()
            stack.publisher.send(*pictures(2, size=2_000))
            # Of one uploader and one session: the next attempt begins when the last one has ended.
            wait_until(
                lambda: door.attacked >= ATTEMPTS, 40, lambda: f"{name}: {door.attacked} attempts"
            )
            door.attack = None
            began = time.monotonic()
            stack.publisher.send(*pictures(2, size=2_000))
            stack.assert_exactly_stored(40)
            wait_until(lambda: door.under_way == 0, 40, f"{name}: the attacker's connections end")
        more = watch.most_bytes - before
        print(
            f"{name}: {more / MEBIBYTE:.1f} MiB more, status after {watch.slowest:.2f} s at most,"
            f" goes on after {time.monotonic() - began:.1f} s"
        )
        assert more < MORE_BYTES, name
        assert not watch.refused and watch.slowest < ANSWERS_WITHIN, name
    heard = {peer for peer, _ in door.heard}
    assert not heard & NO_PEERS
    # Whoever has the right name, among any others, is the peer: so the line above can fail.
    assert ("3,000 names" in heard) == ("3,000 names" in attacks)


SETTINGS = {"RETRY_MAX_DELAY": "200ms", "UPLOADER_THREADS": 1}


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1 is deprecated")
@pytest.mark.time_limit(180)
@pytest.mark.parametrize("when", ATTACKS)
def test_in_the_place_of_the_store(new_stack, authority, https_store, peers, when):
    with Door(https_store.port, peers) as door:
        stack = new_stack(
            store=https_store, MINIO_URL=f"127.0.0.1:{door.port}", MINIO_SECURE="True",
            STORE_CA_FILE=authority.certificate, STORE_SERVER_NAME=NAME,
            STORE_CONNECT_TIMEOUT="1s", STORE_STALL_TIMEOUT="1s", **SETTINGS,
        )  # fmt: skip
        stack.start()
        assert_it_holds(stack, door, ATTACKS[when])


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1 is deprecated")
@pytest.mark.time_limit(180)
@pytest.mark.parametrize("when", ATTACKS)
def test_in_the_place_of_the_broker(new_stack, authority, peers, when):
    stack = new_stack(
        MQTT_TRANSPORT="tls", MQTT_CA_FILE=authority.certificate, MQTT_SERVER_NAME=NAME,
        MQTT_CONNECT_TIMEOUT="1s", MQTT_KEEPALIVE="5s", **SETTINGS,
    )  # fmt: skip
    with Door(stack.broker.listen(identity=peers["right"]), peers) as door:
        stack.bridge.settings["BROKER_PORT"] = door.port
        stack.start()
        assert_it_holds(stack, door, ATTACKS[when])
