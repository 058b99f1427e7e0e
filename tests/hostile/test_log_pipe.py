"""Whoever reads the log and stops reading: a full pipe holds up nothing but the log itself."""

import json
import os
import threading

import pytest

from harness.messages import pictures, undecodable
from harness.waiting import wait_until


class Pipe:
    """Where the bridge's standard error goes."""

    def __init__(self, path):
        self.path = path
        os.mkfifo(path)
        self._fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # nobody reads, but somebody could
        self.wrapper = ["/bin/sh", "-c", f'exec "$0" "$@" 2>"{path}"']
        self._lines = b""
        self._thread = None

    def start_reading(self):
        os.set_blocking(self._fd, True)
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self):
        while piece := os.read(self._fd, 1 << 16):
            self._lines += piece

    def lines(self):
        return self._lines.decode().splitlines()

    def close(self):
        if self._thread is not None:
            self._thread.join()
        os.close(self._fd)


@pytest.fixture
def pipe(tmp_path):
    made = Pipe(tmp_path / "log")
    yield made
    made.close()


@pytest.mark.parametrize("form", ["json", "text"])
def test_a_full_log_pipe_does_not_stop_the_flow(new_stack, pipe, form):
    stack = new_stack(LOGGING_LEVEL="DEBUG", LOG_FORMAT=form)
    stack.bridge.wrapper = pipe.wrapper
    stack.start()
    stack.publisher.send(*pictures(2500, size=200), undecodable())
    stack.assert_exactly_stored(within=60)
    dropped = stack.bridge.total("log_lines_dropped_total")
    assert dropped > 0

    pipe.start_reading()
    wait_until(
        lambda: any("lines dropped" in line for line in pipe.lines()), 60, "it is told in the log"
    )
    stack.publisher.send(*pictures(5))
    stack.assert_exactly_stored()
    assert stack.bridge.stop() == 0
    wait_until(lambda: any("main: stopped" in line or '"stopped"' in line for line in pipe.lines()),
               60, "the last line is out")
    lines = pipe.lines()
    told = [line for line in lines if "lines dropped" in line]
    if form == "json":
        documents = [json.loads(line) for line in lines]  # none is torn
        counts = [d["count"] for d in documents if d["message"] == "lines dropped"]
    else:
        assert all(line[:2] == "20" for line in lines)
        counts = [int(line.rsplit("count=", 1)[1]) for line in told]
    assert sum(counts) >= dropped


def test_a_full_log_pipe_does_not_stop_the_end(new_stack, pipe):
    stack = new_stack(LOGGING_LEVEL="DEBUG")
    stack.bridge.wrapper = pipe.wrapper
    stack.start()
    stack.publisher.send(*pictures(1500, size=200))
    stack.assert_exactly_stored(within=60)
    assert stack.bridge.stop() == 0


def test_a_log_that_nobody_has_open_any_more_stops_nothing(new_stack, tmp_path):
    pipe = Pipe(tmp_path / "log")
    stack = new_stack(LOGGING_LEVEL="DEBUG")
    stack.bridge.wrapper = pipe.wrapper
    stack.start()
    pipe.close()
    stack.publisher.send(*pictures(50))
    stack.assert_exactly_stored()
    assert stack.bridge.stop() == 0
