"""The filter of system calls in the unit of deploy/systemd, against what the daemon really calls.

No service manager runs where the tests do, so the filter is worked out here, by the rules of systemd.exec(5)
and from the sets of the systemd that is installed.
"""

import functools

import pytest
from engine import run
from harness import service
from harness.messages import Message, pictures
from harness.programs import REPOSITORY
from harness.stack import Stack
from harness.waiting import wait_until

UNIT = REPOSITORY / "deploy" / "systemd" / "mqtt-to-blob.service"


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
def stack(tmp_path, minio, shared_store):
    point = service.checkpoint()
    stack = Stack(tmp_path, minio, shared_store, BROKER_URL="localhost", STATUS_THUMBNAILS="True")
    yield stack
    stack.close()
    service.end_since(point)


def test_of_the_resources_the_unit_allows_the_nice_value_alone():
    assert allowed_calls() & calls_of("@resources") == {"setpriority"}
    assert not allowed_calls() & calls_of("@privileged")


def test_the_unit_allows_all_that_the_daemon_calls(stack, tmp_path):
    table = tmp_path / "calls"
    bridge = stack.bridge
    bridge.wrapper = ["strace", "-D", "-f", "-qq", "-c", "-U", "name", "-o", table]
    stack.start()
    stack.publisher.send(*pictures(20, size=60_000), Message("ia/rawImage/bad", b"no JSON"))
    stack.assert_exactly_stored()
    wait_until(lambda: bridge.status()["dead_letters"]["kept"] == 1, 10, "a dead letter")
    assert bridge.stat()["accounts"]["waiting"] == 0
    assert bridge.stop() == 0
    # strace writes once the daemon has ended.
    wait_until(lambda: table.exists() and "total" in table.read_text(), 10, "the table of calls")
    lines = [line.strip() for line in table.read_text().splitlines()]
    called = {line for line in lines if line.replace("_", "").isalnum()} - {"syscall", "total"}
    assert {"setpriority", "fdatasync", "sendto"} <= called
    assert called <= allowed_calls(), called - allowed_calls()
