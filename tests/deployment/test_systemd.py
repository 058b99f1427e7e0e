"""The unit of deploy/systemd: under a systemd of its own, and its filter against all that the daemon calls.

The filter is worked out here, by the rules of systemd.exec(5) and from the sets of the systemd that is
installed: a call that is refused may be missed by nobody for long.
"""

import functools
import stat

import pytest
from engine import run
from harness import service
from harness.fail_points import damage_a_meta_page
from harness.messages import Message, pictures
from harness.stack import Stack
from harness.waiting import wait_until
from machine_of_systemd import UNIT, Machine, status_of, why_missing


@functools.cache
def calls_of(name):
    """The calls of a set, or the one that has this name."""
    if not name.startswith("@"):
        return {name}
    lines = run("systemd-analyze", "--no-pager", "syscall-filter", name).stdout.splitlines()
    names = [line.strip() for line in lines if line.startswith(" ")]
    return set().union(*(calls_of(one) for one in names if not one.startswith("#")))


def allowed_calls():
    """The first line says what kind of a list it is; those that follow add to it or take away."""
    lines = [line.split("=", 1)[1] for line in UNIT.read_text().splitlines()
             if line.startswith("SystemCallFilter=")]  # fmt: skip
    assert lines and not lines[0].startswith("~"), "a list of what is allowed"
    allowed = set(calls_of("@default"))  # which every such list allows
    for line in lines:
        named = set().union(*(calls_of(name) for name in line.removeprefix("~").split()))
        allowed = allowed - named if line.startswith("~") else allowed | named
    return allowed


@pytest.fixture
def new_stack(tmp_path, minio):
    point = service.checkpoint()
    stacks = []

    def make(**options):
        stacks.append(Stack(tmp_path, minio, **options))
        return stacks[-1]

    yield make
    for stack in stacks:
        stack.close()
    service.end_since(point)


def test_of_the_resources_the_unit_allows_the_nice_value_alone():
    assert allowed_calls() & calls_of("@resources") == {"setpriority"}
    assert not allowed_calls() & calls_of("@privileged")


def test_the_unit_allows_all_that_the_daemon_calls(new_stack, shared_store, tmp_path):
    stack = new_stack(store=shared_store, BROKER_URL="localhost", STATUS_THUMBNAILS="True")
    table = tmp_path / "calls"
    bridge = stack.bridge
    bridge.wrapper = ["strace", "-D", "-f", "-qq", "-c", "-U", "name", "-o", table]
    stack.start()
    stack.publisher.send(*pictures(20, size=60_000), Message("ia/rawImage/bad", b"no JSON"))
    stack.assert_exactly_stored()
    wait_until(lambda: bridge.status()["dead_letters"]["kept"] == 1, 10, "a dead letter")
    bridge.wait_until_spool_is_empty()  # what is stored is removed a moment later
    assert bridge.stat()["accounts"]["waiting"] == 0
    assert bridge.stop() == 0
    # strace writes once the daemon has ended.
    wait_until(lambda: table.exists() and "total" in table.read_text(), 10, "the table of calls")
    lines = [line.strip() for line in table.read_text().splitlines()]
    called = {line for line in lines if line.replace("_", "").isalnum()} - {"syscall", "total"}
    assert {"setpriority", "fdatasync", "sendto"} <= called
    assert called <= allowed_calls(), called - allowed_calls()


@pytest.fixture
def stack(new_stack):
    """Of which the machine's service is the bridge."""
    return new_stack(RETRY_MAX_DELAY="500ms")


@pytest.fixture
def machine(stack, tmp_path):
    """The unit installed and not started; broker and store run."""
    if missing := why_missing():
        pytest.skip(missing)
    stack.broker.start()
    stack.store.start()
    machine = Machine(tmp_path / "machine", stack.bridge)
    machine.start()
    yield machine
    machine.end()
    assert not machine.group.exists(), "something of it goes on"


def daemons(machine):
    """Their numbers here."""
    procs = machine.group / "system.slice" / UNIT.name / "cgroup.procs"
    return procs.read_text().split() if procs.exists() else []


def test_the_service_runs_locked_in_and_is_started_again_when_it_dies(stack, machine):
    machine.systemctl("start", "mqtt-to-blob")  # returns once the daemon has said that it is ready
    stack.bridge.wait_until_subscribed()
    stack.publisher.send(*pictures(20))
    stack.assert_exactly_stored()
    (daemon,) = daemons(machine)
    status = status_of(daemon)
    assert "0" not in status["Uid"].split()
    assert (status["CapEff"], status["CapBnd"]) == ("0" * 16, "0" * 16)
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    assert "messages wait" in machine.shown("StatusText")

    stack.store.stop()
    stack.publisher.send(*pictures(20))
    stack.bridge.wait_until_acknowledged(40)
    machine.systemctl("kill", "--signal=KILL", "mqtt-to-blob")
    stack.store.start()
    wait_until(lambda: machine.shown("NRestarts") == "1", 10, "systemd starts it again")
    stack.assert_exactly_stored()
    machine.systemctl("stop", "mqtt-to-blob")
    assert (machine.shown("Result"), daemons(machine)) == ("success", [])
    assert stat.S_IMODE(machine.spool.stat().st_mode) == 0o700


def test_after_a_repair_by_root_the_service_opens_its_spool(stack, machine):
    stack.store.stop()
    machine.systemctl("start", "mqtt-to-blob")
    stack.bridge.wait_until_subscribed()
    stack.publisher.send(*pictures(10))
    stack.bridge.wait_until_acknowledged(10)
    machine.systemctl("stop", "mqtt-to-blob")
    damage_a_meta_page(machine.spool / "records" / "data.mdb")
    done = machine.run("env", "SPOOL_DIR=/var/lib/mqtt-to-blob", "mqtt-to-blob", "spool", "repair")
    assert done.returncode == 0 and "was damaged" in done.stdout, done.stdout + done.stderr
    machine.systemctl("start", "mqtt-to-blob")
    stack.store.start()
    stack.assert_exactly_stored()
