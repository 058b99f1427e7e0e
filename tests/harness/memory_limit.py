"""A bound to the memory of a process and its page cache, as that of a container: a cgroup."""

import os
import pathlib
import re
import time

_V1 = pathlib.Path("/sys/fs/cgroup/memory")
_V2 = pathlib.Path("/sys/fs/cgroup")


class MemoryLimit:
    """As a context: `wrapper` runs a command within the limit. Where the machine allows no cgroup of
    ours, `is_enforced` is false, and the test has peak_bytes_of() alone."""

    def __init__(self, limit_bytes):
        self._limit = limit_bytes
        self._group = None

    def __enter__(self):
        name = f"mqtt-to-blob-test-{os.getpid()}-{time.monotonic_ns()}"
        is_v2 = (_V2 / "cgroup.controllers").exists()
        group = (_V2 if is_v2 else _V1) / name
        try:
            group.mkdir()
            self._group = group
            file = "memory.max" if is_v2 else "memory.limit_in_bytes"
            (group / file).write_text(str(self._limit))
            swap = group / "memory.swap.max"
            if swap.exists():
                swap.write_text("0")
        except OSError:
            self.__exit__()
        return self

    def __exit__(self, *_):
        if self._group is not None:
            for _ in range(100):  # what ran in it may still be on its way out
                try:
                    self._group.rmdir()
                    break
                except OSError:
                    time.sleep(0.1)
            self._group = None

    @property
    def is_enforced(self):
        return self._group is not None

    @property
    def wrapper(self):
        if self._group is None:
            return []
        return ["sh", "-c", f'echo $$ > {self._group}/cgroup.procs && exec "$@"', "limited"]


def peak_bytes_of(pid):
    """The most that the process had in memory so far, its pages of files included."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE).group(1)) * 1024
