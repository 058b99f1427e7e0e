"""A systemd that runs the unit of deploy/systemd, beside whatever runs the machine."""

import contextlib
import errno
import itertools
import os
import pathlib
import shlex
import shutil
import subprocess

from harness.bridge import bridge_binary
from harness.programs import REPOSITORY
from harness.service import Service
from harness.waiting import TimedOut, wait_until

SHIPPED = REPOSITORY / "deploy" / "systemd"
UNIT = SHIPPED / "mqtt-to-blob.service"
_SYSTEM = pathlib.Path("/lib/systemd/system")
_TARGETS = ("basic", "sysinit", "local-fs", "local-fs-pre", "slices", "sockets", "paths", "timers", "swap",
            "network", "network-online", "shutdown", "umount", "final")  # fmt: skip
# What a real machine gives to the journal.
_LOG = """[Service]
StandardOutput=append:/var/lib/bridge.log
StandardError=append:/var/lib/bridge.log
"""
_TARGET = "[Unit]\nRequires=basic.target\nAfter=basic.target\n"
_numbers = itertools.count(1)


def _control_groups():
    for line in pathlib.Path("/proc/mounts").read_text().splitlines():
        _, folder, kind, *_ = line.split()
        if kind == "cgroup2":
            return pathlib.Path(folder)
    return None


def why_missing():
    """Why there can be no such machine here; empty when there can."""
    if os.geteuid() != 0:
        return "a systemd of its own needs root"
    if _control_groups() is None:
        return "no cgroup2 is mounted"
    made = subprocess.run(["unshare", "--mount", "--pid", "--fork", "mount", "-t", "tmpfs", "tmpfs", "/mnt"],
                          capture_output=True, text=True)  # fmt: skip
    return made.stderr


def status_of(process):
    """What the kernel says of it: name -> value."""
    lines = pathlib.Path(f"/proc/{process}/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines)


def _is_first_of_its_namespace(process):
    try:
        return status_of(process)["NSpid"].split()[-1] == "1"
    except OSError:  # it has ended
        return False


class Machine(Service):
    """Installed as the unit's head says, with the settings of a bridge that is not started itself."""

    def __init__(self, folder, bridge):
        super().__init__("machine", folder)
        for name in ("etc", "bin", "lib", "units"):
            (folder / name).mkdir()
        shutil.copy(bridge_binary(), folder / "bin" / "mqtt-to-blob")
        self.spool = folder / "lib" / "private" / "mqtt-to-blob"
        self.bridge_log = folder / "lib" / "bridge.log"
        self.group = _control_groups() / f"machine-{os.getpid()}-{next(_numbers)}"
        for name in _TARGETS:
            shutil.copy(_SYSTEM / f"{name}.target", folder / "units")
        shutil.copy(UNIT, folder / "units")
        (folder / "units" / "machine.target").write_text(_TARGET)
        dropped_in = folder / "units" / f"{UNIT.name}.d"
        dropped_in.mkdir()
        (dropped_in / "log.conf").write_text(_LOG)
        etc = folder / "etc" / "mqtt-to-blob"
        etc.mkdir(mode=0o700)
        given = {name: value for name, value in bridge.settings.items() if name != "SPOOL_DIR"}
        for name in ("MINIO_ACCESS_KEY", "MINIO_SECRET_KEY"):
            (etc / name.lower().replace("_", "-")).write_text(given.pop(name))
        lines = [f"{name}={value}\n" for name, value in given.items()]
        (etc / "mqtt-to-blob.conf").write_text("".join(lines))

    def command(self):
        inside = [str(pathlib.Path(__file__).parent / "systemd_inside"), str(self.folder), str(self.group)]
        # systemd writes to a terminal alone. With that goes a SIGHUP, which may be ignored here.
        inside = ["exec", "setpriv", "--pdeathsig", "KILL", "--", *inside]
        return ["script", "-q", "-e", "-f", "-c", shlex.join(inside), "/dev/null"]

    def is_up(self):
        return bool(self._first_process()) and self.run("systemctl", "is-system-running").stdout == "running\n"

    def run(self, *command):
        return subprocess.run(
            ["nsenter", "-t", self._first_process(), "-m", "-p", "-i", "-u", "-C", *map(str, command)],
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip

    def systemctl(self, *words):
        done = self.run("systemctl", "--no-pager", *words)
        log = self.bridge_log.read_text() if self.bridge_log.exists() else ""
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}\n{self.tail()}\n{log}"
        return done.stdout

    def shown(self, name):
        return self.systemctl("show", "-P", name, "mqtt-to-blob").strip()

    def end(self):
        super().end()
        with contextlib.suppress(TimedOut):
            wait_until(self._are_groups_removed, 10, "the machine has ended")

    def _are_groups_removed(self):
        """All in there ends with the machine, which takes the kernel a moment."""
        try:
            for folder, _, _ in os.walk(self.group, topdown=False):
                os.rmdir(folder)
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            return False
        return True

    def _first_process(self):
        """The number here of what is process 1 there. Beside it is for a moment what it has just forked."""
        scope = self.group / "init.scope" / "cgroup.procs"
        numbers = scope.read_text().split() if scope.exists() else []
        return next(filter(_is_first_of_its_namespace, numbers), "")
