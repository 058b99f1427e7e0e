"""TLS and WebSocket towards the broker, HTTPS towards the store: what works, and what is said when
a certificate is not as it should be."""

import ssl

import pytest

from harness.certificates import Authority
from harness.messages import pictures
from harness.ports import free_port
from harness.store import Store
from harness.tls_front import TlsFront
from harness.waiting import wait_until


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("stranger"), "stranger")


@pytest.fixture(scope="module")
def https_store(tmp_path_factory, minio, authority):
    store = Store(tmp_path_factory.mktemp("https"), minio, "https-store", authority=authority)
    store.start()
    yield store
    store.end()


def assert_flows(stack, count=20, **options):
    stack.publisher.send(*pictures(count, **options))
    stack.assert_exactly_stored()


def wait_for_line(bridge, *parts, within=20):
    """An ERROR that has all of it."""

    def is_there():
        return any(
            " ERROR " in line and all(part in line for part in parts)
            for line in bridge.log_text().splitlines()
        )

    wait_until(is_there, within, lambda: f"an error with {parts}:\n{bridge.tail()}")


# The broker.


@pytest.mark.parametrize("version", ["5", "3.1.1"])
@pytest.mark.parametrize("transport", ["tls", "ws", "wss"])
def test_pictures_come_over_each_transport(new_stack, authority, transport, version):
    stack = new_stack(MQTT_TRANSPORT=transport, MQTT_VERSION=version)
    identity = None if transport == "ws" else authority.issue("broker")
    port = stack.broker.listen(websockets=transport != "tls", identity=identity)
    ca = {} if transport == "ws" else {"MQTT_CA_FILE": authority.certificate}
    stack.bridge.settings |= {"BROKER_PORT": port} | ca
    stack.start()
    # Small ones: over a WebSocket mosquitto 2.0.11 sends less than two messages a second, to any
    # client, once the buffers of the socket are full.
    assert_flows(stack, count=200, size=2_000)
    # Over an outage of the bridge, so that the session and its acknowledgements are looked at too.
    stack.bridge.stop()
    stack.publisher.send(*pictures(200, size=2_000))
    stack.bridge.start_subscribed()
    stack.assert_exactly_stored()
    assert stack.bridge.metric("broker_sessions_lost_total") == 0


BAD = {
    "expired": ("expired", "has expired on"),
    "of the future": ("future", "is valid only from"),
    "for another host": ("other host", "is for broker.elsewhere, not for 127.0.0.1"),
    "of a stranger": ("stranger", "from an authority that is not trusted here (CN = stranger)"),
    "of its own": ("self-signed", "is signed by itself"),
}


def bad_identity(kind, authority, stranger):
    return {
        "expired": lambda: authority.issue("old", hours=(-48, -24)),
        "future": lambda: authority.issue("young", hours=(24, 48)),
        "other host": lambda: authority.issue("other", names=["broker.elsewhere"]),
        "stranger": lambda: stranger.issue("strange"),
        "self-signed": lambda: authority.self_signed(),
    }[kind]()


# Paho does TLS for the one, the relay for the other.
over_both = pytest.mark.parametrize("transport", ["tls", "wss"])


@over_both
@pytest.mark.parametrize("kind, words", BAD.values(), ids=BAD.keys())
def test_a_broker_with_a_certificate_that(new_stack, authority, stranger, kind, words, transport):
    stack = new_stack(
        MQTT_TRANSPORT=transport, MQTT_CA_FILE=authority.certificate, RETRY_MAX_DELAY="500ms"
    )
    identity = bad_identity(kind, authority, stranger)
    websockets = transport == "wss"
    port = stack.broker.listen(websockets=websockets, identity=identity)
    stack.bridge.settings["BROKER_PORT"] = port
    stack.broker.start()
    stack.bridge.start()
    wait_for_line(stack.bridge, "mqtt: connection refused", words)
    assert stack.bridge.metric("broker_subscribed") == 0
    # Mended there, it goes on by itself.
    stack.broker.stop()
    stack.broker.listen(port, websockets=websockets, identity=authority.issue("broker"))
    stack.broker.start()
    stack.bridge.wait_until_subscribed()
    assert_flows(stack)


@over_both
def test_a_broker_port_without_tls_is_named(new_stack, authority, transport):
    stack = new_stack(MQTT_TRANSPORT=transport, MQTT_CA_FILE=authority.certificate)
    stack.broker.start()
    stack.bridge.start()
    wait_until(
        lambda: "is it the port for TLS?" in stack.bridge.log_text(), 20, stack.bridge.tail
    )


@over_both
def test_a_broker_that_wants_a_certificate_of_ours(new_stack, authority, stranger, transport):
    stack = new_stack(
        MQTT_TRANSPORT=transport, MQTT_CA_FILE=authority.certificate, RETRY_MAX_DELAY="500ms"
    )
    port = stack.broker.listen(
        websockets=transport == "wss", identity=authority.issue("broker"), clients_of=authority
    )
    stack.bridge.settings["BROKER_PORT"] = port
    stack.broker.start()
    stack.bridge.start()
    wait_for_line(stack.bridge, "wants a certificate of ours", "MQTT_CERT_FILE")
    stack.bridge.stop()
    own = stranger.issue("bridge")
    stack.bridge.settings |= {"MQTT_CERT_FILE": own.certificate, "MQTT_KEY_FILE": own.key}
    stack.bridge.start()
    wait_for_line(stack.bridge, "does not accept our certificate", "MQTT_CERT_FILE")
    # A renewal needs no restart.
    own.replace(authority.issue("bridge"))
    stack.bridge.wait_until_subscribed()
    assert_flows(stack)


@over_both
def test_the_broker_may_be_reached_under_another_name_than_its_certificates(
    new_stack, authority, transport
):
    stack = new_stack(
        MQTT_TRANSPORT=transport,
        MQTT_CA_FILE=authority.certificate,
        MQTT_SERVER_NAME="broker.plant",
    )
    identity = authority.issue("broker", names=["broker.plant"])
    stack.bridge.settings["BROKER_PORT"] = stack.broker.listen(
        websockets=transport == "wss", identity=identity
    )
    stack.start()
    assert_flows(stack)


@pytest.mark.parametrize("peer", ["tls", "wss", "store"])
def test_a_peer_that_is_too_old(new_stack, authority, peer):
    stack = new_stack(TLS_MIN_VERSION="1.3", RETRY_MAX_DELAY="500ms")
    server_port = {
        "tls": lambda: stack.broker.port,
        "wss": lambda: stack.broker.listen(websockets=True),
        "store": lambda: stack.store.port,
    }[peer]()
    context = authority.issue("front").server_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with TlsFront(server_port, context) as front:
        if peer != "store":
            stack.bridge.settings |= {"MQTT_TRANSPORT": peer, "MQTT_CA_FILE": authority.certificate}
            stack.bridge.settings["BROKER_PORT"] = front.port
        else:
            stack.bridge.settings |= {"MINIO_SECURE": "True", "STORE_CA_FILE": authority.certificate}
            stack.bridge.settings["MINIO_URL"] = f"127.0.0.1:{front.port}"
        stack.broker.start()
        stack.bridge.start()
        wait_for_line(stack.bridge, "at least 1.3 (TLS_MIN_VERSION)")
        front.context = authority.issue("front").server_context()
        stack.bridge.wait_until_subscribed()
        assert_flows(stack)


# The store.


def test_pictures_go_over_https_one_by_one_and_in_batches(new_stack, https_store, authority):
    stack = new_stack(store=https_store, MINIO_SECURE="True", STORE_CA_FILE=authority.certificate)
    stack.start()
    assert_flows(stack, count=50, size=100_000)
    stack.bridge.stop()
    stack.publisher.send(*pictures(300, size=2_000))
    stack.bridge.start_subscribed()
    stack.assert_exactly_stored()
    assert stack.bridge.metric("uploads_in_batches_total") > 0


@pytest.mark.parametrize("kind, words", BAD.values(), ids=BAD.keys())
def test_a_store_with_a_certificate_that(new_stack, authority, stranger, kind, words):
    stack = new_stack(
        MINIO_SECURE="True", STORE_CA_FILE=authority.certificate, RETRY_MAX_DELAY="500ms"
    )
    context = bad_identity(kind, authority, stranger).server_context()
    with TlsFront(stack.store.port, context) as front:
        stack.bridge.settings["MINIO_URL"] = f"127.0.0.1:{front.port}"
        stack.start()
        stack.publisher.send(*pictures(20))
        wait_for_line(stack.bridge, "upload: ", words)
        front.context = authority.issue("front").server_context()
        stack.assert_exactly_stored()


def test_the_store_renews_its_certificate_and_its_authority(new_stack, tmp_path, minio, authority):
    """The file of authorities is read again, without a restart."""
    store = Store(tmp_path / "store", minio, authority=authority)
    ours = tmp_path / "authorities.pem"
    ours.write_bytes(authority.certificate.read_bytes())
    stack = new_stack(
        store=store, MINIO_SECURE="True", STORE_CA_FILE=ours, RETRY_MAX_DELAY="500ms"
    ).start()
    assert_flows(stack)
    store.stop()
    store.authority = Authority(tmp_path, "next-authority")
    store.show(store.authority.issue("minio"))
    store.start()
    stack.bucket = stack.judge.bucket = store.bucket(stack.bucket_name)
    stack.publisher.send(*pictures(20))
    wait_for_line(stack.bridge, "upload: ", "not trusted here (CN = next-authority)")
    ours.write_bytes(store.authority.certificate.read_bytes())
    stack.assert_exactly_stored()


def test_a_store_that_wants_a_certificate_of_ours(new_stack, authority):
    context = authority.issue("front").server_context(clients_of=authority)
    stack = new_stack(
        MINIO_SECURE="True", STORE_CA_FILE=authority.certificate, RETRY_MAX_DELAY="500ms"
    )
    with TlsFront(stack.store.port, context) as front:
        stack.bridge.settings["MINIO_URL"] = f"127.0.0.1:{front.port}"
        stack.start()
        stack.publisher.send(*pictures(20))
        wait_for_line(stack.bridge, "upload: ", "wants a certificate of ours", "STORE_CERT_FILE")
        stack.bridge.stop()
        own = authority.issue("bridge")
        stack.bridge.settings |= {"STORE_CERT_FILE": own.certificate, "STORE_KEY_FILE": own.key}
        stack.bridge.start_subscribed()
        stack.assert_exactly_stored()


def test_the_store_may_be_reached_under_another_name_than_its_certificates(new_stack, authority):
    context = authority.issue("front", names=["pictures.plant"]).server_context()
    stack = new_stack(
        MINIO_SECURE="True",
        STORE_CA_FILE=authority.certificate,
        STORE_SERVER_NAME="pictures.plant",
    )
    with TlsFront(stack.store.port, context) as front:
        stack.bridge.settings["MINIO_URL"] = f"127.0.0.1:{front.port}"
        stack.start()
        assert_flows(stack)


def test_files_that_cannot_serve_are_refused_before_the_start(new_stack, tmp_path, authority):
    bridge = new_stack(MQTT_TRANSPORT="tls").bridge
    done = bridge.run("--check", MQTT_CA_FILE=tmp_path / "none.pem")
    assert done.returncode == 78
    assert "none.pem\": cannot be read: No such file or directory" in done.stderr
    own, other = authority.issue("one"), authority.issue("two")
    done = bridge.run("--check", MQTT_CERT_FILE=own.certificate, MQTT_KEY_FILE=other.key)
    assert done.returncode == 78 and "is not the key of the certificate in" in done.stderr


def test_a_free_port_is_no_tls_fault(new_stack, authority):
    stack = new_stack(MQTT_TRANSPORT="tls", MQTT_CA_FILE=authority.certificate)
    stack.bridge.settings["BROKER_PORT"] = free_port()
    stack.bridge.start()
    wait_until(
        lambda: "cannot be reached: Connection refused" in stack.bridge.log_text(),
        20,
        stack.bridge.tail,
    )
