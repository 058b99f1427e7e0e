"""Settings as people really give them: from env files, as URLs, in their own spelling."""

import subprocess

import pytest

from harness.bridge import bridge_binary
from harness.certificates import Authority
from harness.messages import pictures
from harness.store import Store


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


def assert_flows(stack, count=20):
    stack.publisher.send(*pictures(count, size=2_000))
    stack.assert_exactly_stored()


@pytest.mark.parametrize("scheme", ["mqtt", "tcp", "mqtts", "ssl", "TLS", "ws", "wss"])
def test_a_url_of_the_broker_is_understood(new_stack, authority, scheme):
    stack = new_stack(BROKER_PORT=None)
    websockets, secure = scheme.startswith("ws"), scheme in ("mqtts", "ssl", "TLS", "wss")
    port = stack.broker.port
    if websockets or secure:
        identity = authority.issue("broker") if secure else None
        port = stack.broker.listen(websockets=websockets, identity=identity)
    path = "/any/path" if websockets else "/"
    stack.bridge.settings["BROKER_URL"] = f"{scheme}://127.0.0.1:{port}{path}"
    if secure:
        stack.bridge.settings["MQTT_CA_FILE"] = authority.certificate
    stack.start()
    assert_flows(stack)


def test_a_url_of_the_store_is_understood(new_stack, tmp_path, minio, authority):
    store = Store(tmp_path / "https", minio, "https-store", authority=authority)
    store.start()
    try:
        stack = new_stack(store=store, MINIO_SECURE=None)
        stack.bridge.settings |= {
            "MINIO_URL": f"https://{store.address}/",
            "STORE_CA_FILE": authority.certificate,
        }
        stack.start()
        assert_flows(stack)
    finally:
        store.end()


def test_a_contradiction_names_both(new_stack):
    run = new_stack(BROKER_PORT="1883").bridge.run("--check", BROKER_URL="mqtts://host:8883")
    assert run.returncode == 78, run
    assert (
        'BROKER_URL="mqtts://host:8883" and BROKER_PORT="1883" contradict each other' in run.stderr
    )


def environment_of_file(path, settings):
    """What `docker run --env-file` makes of a file: lines as they are, with their quotes."""
    lines = [line for line in path.read_bytes().split(b"\n") if line]
    return settings | dict(line.decode().split("=", 1) for line in lines)


@pytest.mark.parametrize(
    "lines, told",
    [
        (b'TOPIC="ia/rawImage/#"\n', "must not have quotes around it"),
        (b"TOPIC=ia/rawImage/# \n", "must not have a blank at its end"),
        (b"MQTT_USERNAME='camera'\n", "must not have quotes around it"),
        (b"MQTT_PASSWORD=canary-1f\r\n", "but has a carriage return (CR) at its end"),
        (b"MQTT_CLIENT_ID=a\r\n", "but has a carriage return (CR) at its end"),
        (b"BUCKET_NAME=\xe2\x80\x9cpictures\xe2\x80\x9d\n", "a typographic quote (U+201C)"),
        (b"LOGGING_LEVEL=\xef\xbb\xbfINFO\n", "a byte order mark (U+FEFF) at its start"),
    ],
)
@pytest.mark.parametrize("arguments", [["--check"], []])
def test_what_an_env_file_adds_is_named(new_stack, tmp_path, lines, told, arguments):
    bridge = new_stack().bridge
    path = tmp_path / "env"
    path.write_bytes(lines)
    done = subprocess.run(
        [bridge_binary(), *arguments],
        env=environment_of_file(path, bridge.environment()),
        capture_output=True, text=True, timeout=15,
    )  # fmt: skip
    assert done.returncode == 78, done
    (mistake,) = done.stderr.splitlines()
    assert mistake.startswith(f"mqtt-to-blob: {lines.split(b'=')[0].decode()}=")
    assert told in mistake
    assert "canary-1f" not in mistake


def test_a_key_in_quotes_works_where_the_store_has_them_too(new_stack, tmp_path, minio):
    """One env file for MinIO and the bridge worked with the original, quotes and all."""
    store = Store(tmp_path / "quoted", minio, "quoted-store")
    store.secret_key = f'"{store.secret_key}"'
    store.let_in()
    store.start()
    try:
        stack = new_stack(store=store).start()
        assert_flows(stack)
        warning = "MINIO_SECRET_KEY=***: is taken with quotes around it"
        assert warning in stack.bridge.log_text()
        checked = stack.bridge.run("--check")
        assert (checked.returncode, checked.stdout) == (0, "the configuration is valid\n")
        assert checked.stderr.startswith(f"mqtt-to-blob: warning: {warning}")
    finally:
        store.end()


def test_usual_spellings_are_accepted(new_stack):
    run = new_stack().bridge.run(
        "--check",
        LOGGING_LEVEL="warn ", MINIO_SECURE="false ", MQTT_KEEPALIVE="1 min", IN_FLIGHT_BYTES="16 Mi",
        BROKER_PORT=" 1883", MQTT_TRANSPORT="MQTT", LOG_FORMAT="JSON ",
    )  # fmt: skip
    assert (run.returncode, run.stdout, run.stderr) == (0, "the configuration is valid\n", "")


def test_the_tools_know_the_same_rule(new_stack):
    run = new_stack().bridge.run("spool", "stat", SPOOL_DIR='"/var/lib/mqtt-to-blob"')
    assert run.returncode == 64, run
    assert "SPOOL_DIR=" in run.stderr and "must not have quotes around it" in run.stderr
