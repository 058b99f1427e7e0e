"""deploy/mosquitto/mosquitto.conf in a real mosquitto: what it keeps, and what it cannot."""

import getpass
import signal

import pytest
from engine import run
from harness import service
from harness.broker import Broker
from harness.messages import pictures
from harness.ports import free_port
from harness.programs import REPOSITORY
from harness.stack import Stack
from harness.waiting import wait_until

CONFIG = REPOSITORY / "deploy" / "mosquitto" / "mosquitto.conf"
USER, PASSWORD = "MQTT_TO_BLOB", "its-password"
MORE_THAN_THE_DEFAULT_QUEUE = 1100  # which is 1000


class ShippedBroker(Broker):
    """With the file as it is; only port, folders and the user it runs as are others."""

    def __init__(self, folder):
        super().__init__(folder)
        self.changes = []  # (old text, new text), each of which has to apply
        self.database = folder / "mosquitto.db"
        self.allow_only(USER, PASSWORD)

    def _write_config(self):
        text = CONFIG.read_text()
        for old, new in [
            ("\nlistener 1883\n", f"\nlistener {self.port} 127.0.0.1\n"),
            ("/etc/mosquitto/mqtt-to-blob.passwd\n", f"{self.folder}/passwords\n"),
            ("/var/lib/mosquitto/", f"{self.folder}/"),
            ("/etc/mosquitto/tls/", f"{self.folder}/"),
            *self.changes,
        ]:
            assert old in text, old
            text = text.replace(old, new)
        self._config.write_text(f"{text}\nuser {getpass.getuser()}\n")

    def saved_at(self):
        return self.database.stat().st_mtime_ns if self.database.exists() else 0

    def save(self):
        """What the time of autosave_interval does as well."""
        before = self.saved_at()
        self.send_signal(signal.SIGUSR1)
        wait_until(lambda: self.saved_at() != before, 10, "the database is written")


@pytest.fixture
def stack(tmp_path, minio, shared_store):
    point = service.checkpoint()
    stack = Stack(tmp_path, minio, store=shared_store, MQTT_PASSWORD=PASSWORD)
    stack.broker = ShippedBroker(tmp_path / "shipped")
    stack.bridge = stack.new_bridge("bridge")
    yield stack
    stack.close()
    service.end_since(point)


def publisher(stack, judged=True):
    return stack.new_publisher(judged, username=USER, password=PASSWORD)


def bridge_was_here(stack):
    """Its session is there, and it is away."""
    stack.broker.start()
    stack.bridge.start_subscribed()
    assert stack.bridge.stop() == 0


@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_an_outage_longer_than_the_default_queue_and_a_restart_lose_nothing(stack, version):
    stack.bridge.settings["MQTT_VERSION"] = version
    bridge_was_here(stack)
    publisher(stack).send(*pictures(MORE_THAN_THE_DEFAULT_QUEUE, size=1000))
    assert stack.broker.stop() == 0
    stack.broker.start()
    stack.bridge.start_subscribed()
    stack.assert_exactly_stored(within=60)
    assert stack.judge.expected_count == MORE_THAN_THE_DEFAULT_QUEUE


@pytest.mark.parametrize(
    "line", ["max_queued_messages 0", "persistence true"], ids=["queue", "persistence"]
)
def test_without_the_line_messages_are_lost(stack, line):
    """That the test above would see it, and that the line is needed."""
    stack.broker.changes = [(f"\n{line}\n", "\n")]
    bridge_was_here(stack)
    publisher(stack).send(*pictures(MORE_THAN_THE_DEFAULT_QUEUE, size=1000))
    assert stack.broker.stop() == 0
    stack.broker.start()
    stack.bridge.start_subscribed()
    # What comes last is behind all that the broker still has.
    last = pictures(1, size=1000)
    publisher(stack, judged=False).send(*last)
    wait_until(lambda: stack.bucket.read(last[0].expectation.key), 60, "the last one is stored")
    stack.bridge.wait_until_spool_is_empty(60)
    assert len(stack.judge.verdict().missing) >= MORE_THAN_THE_DEFAULT_QUEUE - 1000 - 20


def test_a_killed_broker_has_what_it_saved_and_no_more(stack):
    bridge_was_here(stack)
    saved, unsaved = pictures(50), pictures(10)
    source = publisher(stack)
    source.send(*saved)
    stack.broker.save()
    publisher(stack, judged=False).send(*unsaved)
    stack.broker.kill()
    source.close()
    stack.broker.start()
    stack.bridge.start_subscribed()
    stack.assert_exactly_stored()
    assert stack.judge.expected_count == len(saved)


def test_pictures_of_qos_0_wait_as_well_where_that_is_asked_for(stack):
    stack.broker.changes = [("#upgrade_outgoing_qos true", "upgrade_outgoing_qos true")]
    bridge_was_here(stack)
    source = publisher(stack)
    for picture in pictures(30):
        source.publish(picture, qos=0)
    source.send(*pictures(1))  # the broker has all of it when it has this one
    stack.bridge.start_subscribed()
    stack.assert_exactly_stored()
    assert stack.judge.expected_count == 31


def test_the_lines_for_tls_are_right(stack):
    folder, port = stack.broker.folder, free_port()
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
        "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days", "1",
        "-keyout", folder / "server.key", "-out", folder / "server.crt")  # fmt: skip
    (folder / "ca.crt").write_bytes((folder / "server.crt").read_bytes())
    stack.broker.changes = [("#tls ", ""), ("listener 8883", f"listener {port} 127.0.0.1")]
    stack.broker.start()
    login = ["-h", "localhost", "-p", str(port), "-u", USER, "-P", PASSWORD, "-t", "t", "-m", "x"]
    run("mosquitto_pub", *login, "--cafile", folder / "ca.crt", "-q", "1")
    in_the_clear = run("mosquitto_pub", *login, "-q", "1", check=False)
    assert in_the_clear.returncode != 0, in_the_clear


def test_nobody_gets_in_without_a_password(stack):
    stack.broker.start()
    refused = run("mosquitto_pub", "-p", stack.broker.port, "-t", "t", "-m", "x", check=False)
    assert refused.returncode == 5 and "not authorised" in refused.stderr
