"""The user who owns a spool, in the daemon's place on its control socket, against root who works with
the tools: what he answers costs them little time and memory, and they come to an end."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

import pytest

from harness.bridge import bridge_binary

OWNER = 54_322
MIB = 1 << 20
# Of an answer of 32 MiB, which is as much as a tool takes, a few copies.
MOST_MEMORY = 256 * MIB
MOST_OUTPUT = 64 << 10
PATIENCE = 60

# Holds the spool, and answers each request by the same.
LIAR = """
import fcntl, os, socket, sys, threading
os.chdir(sys.argv[1])
lock = open('lock', 'a'); fcntl.flock(lock, fcntl.LOCK_EX)
listener = socket.socket(socket.AF_UNIX)
listener.bind('control'); listener.listen(); print(flush=True)
first, rest, count = (eval(part) for part in sys.argv[2:])
def answer(client):
    try:
        target = client.recv(65536).split()[1].decode()
        client.sendall(first(target) if callable(first) else first)
        for _ in range(count):
            client.sendall(rest)
        client.shutdown(socket.SHUT_WR)
    except OSError:
        pass
    client.close()
while True:
    threading.Thread(target=answer, args=(listener.accept()[0],), daemon=True).start()
"""
HEAD = "b'HTTP/1.1 200 OK\\r\\n'"
FOR_EVER = str(1 << 60)
RECORD = {
    "id": 1, "readable": True, "bytes": 100, "topic": "t", "payload_bytes": 60, "received_at_ms": 0,
    "qos": 1, "retained": False, "duplicate": False,
    "reason": "not_json", "detail": "", "buried_at_ms": 0, "age_ms": 0,
}  # fmt: skip
SAME_PAGE = json.dumps([RECORD] * 2)
# name -> (what an answer begins with, what is repeated, how often)
LIES = {
    "brackets": (f"{HEAD} + b'\\r\\n'", "b'[' * 65536", "500"),
    "objects": (f"{HEAD} + b'\\r\\n['", "b'{},' * 20000", "500"),
    "numbers": (f"{HEAD} + b'\\r\\n['", "b'0,' * 32768", "500"),
    "a long refusal": ("b'HTTP/1.1 500 No\\r\\n\\r\\n'", "b'x' * 65536", "500"),
    "no end": (f"{HEAD} + b'\\r\\n'", "b'x' * 65536", FOR_EVER),
    "fields without end": (HEAD, "b'X: y\\r\\n' * 10000", FOR_EVER),
    "interim answers without end": ("b''", "b'HTTP/1.1 100 Continue\\r\\n\\r\\n'", FOR_EVER),
    "extensions of chunks without end": (
        f"{HEAD} + b'Transfer-Encoding: chunked\\r\\n\\r\\n'",
        "b'1;' + b'e' * 4000 + b'\\r\\nx\\r\\n'", FOR_EVER,
    ),
    "the same page without end": (
        f"lambda target: {HEAD} + b'\\r\\n' + (b'{{}}' if target == '/spool' else b'{SAME_PAGE}')",
        "b''", "0",
    ),
}  # fmt: skip
TOOLS = [
    ["spool", "stat"], ["spool", "ls"], ["spool", "export"], ["spool", "verify"],
    ["dead-letter", "ls"], ["dead-letter", "export"], ["dead-letter", "drop", "--all", "--yes"],
]  # fmt: skip

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the attack is on root")


@pytest.fixture
def place():
    """A folder that everybody may enter, unlike pytest's own, with a spool of the other user's."""
    with tempfile.TemporaryDirectory(prefix="m2b-liar-") as folder:
        path = pathlib.Path(folder)
        path.chmod(0o755)
        (path / "spool").mkdir()
        os.chown(path / "spool", OWNER, OWNER)
        yield path


def run_measured(command, output):
    """(exit code, the most memory that it had)"""
    with open(output, "wb") as file:
        process = subprocess.Popen(
            ["timeout", "--signal=KILL", str(PATIENCE), *command],
            stdin=subprocess.DEVNULL, stdout=file, stderr=file, env={}, cwd="/",
        )  # fmt: skip
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, usage.ru_maxrss * 1024


@pytest.mark.parametrize("lie", LIES)
def test_what_the_owner_answers_in_the_daemon_s_place_costs_root_s_tools_little(place, lie):
    spool = place / "spool"
    liar = subprocess.Popen(
        ["setpriv", f"--reuid={OWNER}", f"--regid={OWNER}", "--clear-groups", "--pdeathsig", "KILL",
         sys.executable, "-c", LIAR, spool, *LIES[lie]],
        stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert liar.stdout.readline() == b"\n"
        for number, tool in enumerate(TOOLS):
            target = [place / f"export{number}"] if "export" in tool else []
            command = [bridge_binary(), *tool, *target, "--spool-dir", spool]
            code, memory = run_measured(command, place / "output")
            output = (place / "output").read_bytes()
            said = (tool, code, memory, output[:500])
            assert code in (0, 1, 74), said
            assert memory < MOST_MEMORY, said
            assert len(output) < MOST_OUTPUT, said
            if "same page" not in lie or "stat" not in tool:
                assert code == 74 and b"the daemon" in output, said
    finally:
        liar.kill()
        liar.wait()
