"""systemd: what the daemon tells it, and the unit in deploy/systemd."""

import contextlib
import re
import signal
import socket
import subprocess

import pytest

from harness.bridge import bridge_binary
from harness.messages import picture
from harness.programs import REPOSITORY
from harness.volumes import with_slow_disk
from harness.waiting import wait_until

UNIT = REPOSITORY / "deploy" / "systemd" / "mqtt-to-blob.service"


class Manager:
    """The end of the notification socket at which systemd sits."""

    def __init__(self, address):
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(address.replace("@", "\0", 1) if address[0] == "@" else address)
        self.heard = []

    def listen(self, within):
        """The assignments of the next datagram, None where none comes."""
        self._socket.settimeout(within)
        try:
            lines = self._socket.recv(65536).decode().splitlines()
        except TimeoutError:
            return None
        said = dict(line.split("=", 1) for line in lines)
        self.heard.append(said)
        return said

    def wait_for(self, name, pattern=".*", within=10):
        """Waits for an assignment that fits."""

        def is_said():
            said = self.listen(within)
            return said and name in said and re.fullmatch(pattern, said[name])

        wait_until(is_said, within, lambda: f"{name}={pattern}: {self.heard}", poll=0)

    def close(self):
        self._socket.close()


@pytest.fixture(params=["a path", "an abstract name"])
def manager(request, tmp_path):
    address = str(tmp_path / "notify") if request.param == "a path" else f"@m2b-{tmp_path}"
    with contextlib.closing(Manager(address)) as listening:
        listening.address = address
        yield listening


@pytest.fixture
def path_manager(tmp_path):
    address = str(tmp_path / "notify")
    with contextlib.closing(Manager(address)) as listening:
        listening.address = address
        yield listening


def test_it_is_ready_without_the_broker_and_says_how_it_is(new_stack, manager):
    stack = new_stack(NOTIFY_SOCKET=manager.address, WATCHDOG_USEC="2000000")
    stack.bridge.launch()
    manager.wait_for("READY", "1")
    manager.wait_for("STATUS", "Broker unreachable for .*; nothing waits in the queue\\.")
    stack.broker.start()
    manager.wait_for("STATUS", "(Ready for pictures; .*|All is well: no picture has come yet\\.)", 20)
    assert manager.heard[-1]["STATUS"] == stack.bridge.status()["sentence"]
    for _ in range(3):
        manager.wait_for("WATCHDOG", "1")
    stack.bridge.send_signal(signal.SIGTERM)
    manager.wait_for("STOPPING", "1")
    assert stack.bridge.wait_for_exit(10) == 0


def test_how_it_is_is_said_soon_also_where_the_watchdog_is_patient(new_stack, path_manager):
    stack = new_stack(NOTIFY_SOCKET=path_manager.address, WATCHDOG_USEC="300000000")  # the unit's
    stack.bridge.launch()
    path_manager.wait_for("STATUS", "Broker unreachable for .*", within=20)
    stack.broker.start()
    path_manager.wait_for("STATUS", "Ready for pictures; .*|All is well: .*", within=20)


def test_a_process_that_stands_still_gives_no_sign(new_stack, path_manager):
    stack = new_stack(NOTIFY_SOCKET=path_manager.address, WATCHDOG_USEC="1000000").start()
    path_manager.wait_for("WATCHDOG", "1")
    stack.bridge.send_signal(signal.SIGSTOP)
    while path_manager.listen(within=1) is not None:
        pass  # what was said before
    assert path_manager.listen(within=1) is None
    stack.bridge.send_signal(signal.SIGCONT)
    path_manager.wait_for("WATCHDOG", "1")


def test_a_thread_that_hangs_is_named_and_gives_no_sign(new_stack, path_manager):
    """Here in a write to a disk that does not come back for longer than the watchdog waits."""
    stack = new_stack(NOTIFY_SOCKET=path_manager.address, WATCHDOG_USEC="2000000").start()
    stack.bridge.stop()
    stack.bridge.wrapper = with_slow_disk(4)
    stack.bridge.launch()
    stack.publisher.publish(picture())  # a start without news writes nothing
    path_manager.wait_for("STATUS", "thread spool-writer has not answered for .*", within=40)
    silent = [said for said in path_manager.heard if "thread" in said.get("STATUS", "")]
    assert not any("WATCHDOG" in said for said in silent)
    path_manager.wait_for("WATCHDOG", "1", within=20)
    stack.bridge.kill()


def test_without_a_manager_nothing_is_told(new_stack):
    stack = new_stack(WATCHDOG_USEC="1000000").start()
    stack.publisher.send(picture())
    stack.assert_exactly_stored()
    assert "service:" not in stack.bridge.log_text()
    assert stack.bridge.stop() == 0


def test_a_manager_that_is_gone_disturbs_nobody(new_stack, tmp_path):
    stack = new_stack(NOTIFY_SOCKET=str(tmp_path / "gone"), WATCHDOG_USEC="400000").start()
    stack.publisher.send(picture())
    stack.assert_exactly_stored()
    stack.bridge.wait_for_log(re.compile("service manager cannot be told"))
    assert stack.bridge.log_text().count("service manager cannot be told") == 1
    assert stack.bridge.stop() == 0


@pytest.fixture
def unit(tmp_path):
    """The unit as shipped, but for the place of the program."""
    copy = tmp_path / UNIT.name
    shipped = UNIT.read_text()
    assert "ExecStart=/usr/local/bin/mqtt-to-blob\n" in shipped
    copy.write_text(shipped.replace("/usr/local/bin/mqtt-to-blob", str(bridge_binary())))
    return copy


def analyze(*arguments):
    return subprocess.run(
        ["systemd-analyze", *map(str, arguments)], capture_output=True, text=True, timeout=60
    )


def test_systemd_finds_nothing_wrong_with_the_unit(unit):
    done = analyze("verify", "--man=no", "--recursive-errors=no", unit)
    assert done.returncode == 0, done.stdout + done.stderr
    assert unit.name not in done.stderr, done.stderr


def test_the_unit_is_locked_in_as_far_as_it_can_be(unit):
    """systemd's own measure: 0 is best, 10 is a service with nothing at all."""
    done = analyze("security", "--offline=yes", "--threshold=15", "--no-pager", unit)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_example_of_the_settings_is_right(new_stack, tmp_path):
    example = UNIT.with_name("mqtt-to-blob.conf.example").read_text()
    given = dict(re.findall(r"(?m)^#?([A-Z_]+)=(.*)$", example))
    bridge = new_stack().bridge
    bridge.settings = given | {"MINIO_ACCESS_KEY": "a", "MINIO_SECRET_KEY": "b"}
    done = bridge.run("--check")
    assert done.returncode == 0, done.stderr
