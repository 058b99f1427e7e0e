"""Free loopback ports."""

import os
import random
import socket

# Below the range that the kernel takes source ports from (ip_local_port_range, from 32768 on): a
# service that is restarted later still finds its port free.
_RANGE = range(20000, 32000)
# Of pytest-xdist's workers each has its own part: the port of a service that is down for a moment
# looks free to the others.
_PARTS = 4
_given = set()
_random = random.Random(os.getpid())


def free_port():
    """A port on which nothing listens, given out only once by this process."""
    while True:
        port = _random.choice(_own_part())
        if port in _given:
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _given.add(port)
        return port


def _own_part():
    worker = os.environ.get("PYTEST_XDIST_WORKER")  # gw0, gw1 …
    if worker is None:
        return _RANGE
    number = int(worker.removeprefix("gw"))
    assert number < _PARTS, f"no ports for {worker}"
    return _RANGE[number::_PARTS]


def accepts_connections(port):
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
