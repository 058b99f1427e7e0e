"""An environment that gives the process little: few threads, little address space."""

import os
import pathlib
import re
import shutil
import subprocess
import tempfile

import pytest

from harness.messages import pictures

USER = 54_323


@pytest.fixture
def small_user_stack(new_stack):
    """A stack whose bridge runs as another user, since limits of processes do not hold for root."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    folder = pathlib.Path(tempfile.mkdtemp(prefix="m2b-limits-"))
    folder.chmod(0o755)
    spool = folder / "spool"
    spool.mkdir()
    os.chown(spool, USER, USER)
    stack = new_stack(SPOOL_DIR=str(spool), LOGGING_LEVEL="INFO")
    yield stack
    stack.bridge.end()
    shutil.rmtree(folder)


def limited(*limits):
    rights = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups"]
    return ["prlimit", *limits, *rights]


def test_too_few_threads_are_told_at_start(small_user_stack):
    bridge = small_user_stack.bridge
    for limit in (1, 5, 15, 25):
        mark = bridge.mark()
        bridge.wrapper = limited(f"--nproc={limit}")
        bridge.launch()
        assert bridge.wait_for_exit(60) == 71, bridge.said_since(mark)
        assert "too few threads can be had: raise the limit" in bridge.said_since(mark)


class Crowd:
    """Other processes of the same user, which take what its limit leaves."""

    def __init__(self, limit):
        self._limit = limit
        self._processes = []

    def fill(self):
        while True:
            process = subprocess.Popen(
                [*limited(f"--nproc={self._limit}"), "sh", "-c", "sleep 0 && echo yes && exec sleep 600"],
                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            )  # fmt: skip
            if process.stdout.readline() != b"yes\n":
                process.kill()
                process.wait()
                return
            self._processes.append(process)

    def leave(self):
        while self._processes:
            process = self._processes.pop()
            process.kill()
            process.wait()


def test_threads_that_cannot_be_had_later_stop_nothing(small_user_stack):
    stack = small_user_stack
    limit = 60
    stack.bridge.wrapper = limited(f"--nproc={limit}")
    stack.start()
    crowd = Crowd(limit)
    try:
        crowd.fill()
        stack.publisher.send(*pictures(2000, size=200))  # for which more uploaders would be tried
        stack.assert_exactly_stored(within=60)
        assert "goes on with fewer uploaders" in stack.bridge.log_text()
        stack.broker.stop()
        stack.broker.start()
        crowd.fill()
    finally:
        crowd.leave()
    stack.bridge.wait_until_subscribed(60)
    stack.new_publisher().send(*pictures(5))
    stack.assert_exactly_stored(within=60)
    assert stack.bridge.stop() == 0


def test_a_limit_of_address_space_is_not_blamed_on_the_disk(new_stack):
    stack = new_stack()
    stack.broker.start()
    stack.bridge.wrapper = ["prlimit", f"--as={1 << 30}"]
    stack.bridge.launch()
    assert stack.bridge.wait_for_exit(60) == 74
    said = stack.bridge.log_text()
    assert re.search(r"Cannot allocate memory\. The disk is not the cause: .* LimitAS", said), said
    assert "may have 1024 MiB" in said
    assert "must be on a local disk" not in said
