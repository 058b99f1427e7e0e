"""A machine as docs/operations.md has it, in a folder: its commands run as they stand there.

No machine that runs tests is to have its own /etc and services touched, so folders, host and ports are
others, and two commands are stand-ins: `systemctl` asks the test to start or stop the real daemon,
`journalctl` prints its log.
"""

import os
import pathlib
import re
import select
import shutil
import subprocess
import time

from harness.bridge import Bridge, bridge_binary
from harness.programs import REPOSITORY

DOCUMENT = REPOSITORY / "docs" / "operations.md"
_BLOCK = re.compile(r"(?:^<!-- run: (\S+) -->\n)?^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SYSTEMCTL = """#!/bin/sh
echo "$*" > "$SITE/requests"
read -r code < "$SITE/answers"
exit "$code"
"""
_JOURNALCTL = """#!/bin/sh
[ "$1 $2" = "-u mqtt-to-blob" ] && cat "$SITE/bridge.log"
"""


def recipes(document=DOCUMENT):
    """name -> commands; blocks without a name are under an empty one."""
    return dict(_BLOCK.findall(document.read_text()))


def number_of_blocks():
    return DOCUMENT.read_text().count("\n```sh\n")


class Site:
    def __init__(self, folder, settings, wrapper=(), second_broker_port=0):
        self.folder = folder
        self.bin, self.etc = folder / "bin", folder / "etc"
        self.spool, self.work = folder / "lib" / "mqtt-to-blob", folder / "work"
        for made in (self.bin, self.etc, self.spool.parent, self.work):
            made.mkdir(parents=True)
        shutil.copy(bridge_binary(), self.bin / "mqtt-to-blob")
        for name, text in (("systemctl", _SYSTEMCTL), ("journalctl", _JOURNALCTL)):
            (self.bin / name).write_text(text)
            (self.bin / name).chmod(0o755)
        for name in ("requests", "answers"):
            os.mkfifo(folder / name)
        self._second_broker_port = second_broker_port
        self.bridge = Bridge(folder, {}, wrapper=wrapper, binary=self.bin / "mqtt-to-blob")
        self.bridge.spool_dir = self.spool
        self.inside = []  # a command prefix, where the daemon sees other disks than we do
        # What the unit of deploy/systemd sets by itself.
        self._unit = {"SPOOL_DIR": self.spool}
        for name in ("MINIO_ACCESS_KEY", "MINIO_SECRET_KEY"):
            file = self.etc / name.lower().replace("_", "-")
            file.write_text(settings.pop(name))
            self._unit[f"{name}_FILE"] = file
        self._settings_file = self.etc / "mqtt-to-blob.conf"
        self.set(**settings, STATUS_ADDRESS=f"127.0.0.1:{self.bridge.status_port}")

    def give_spool_key(self):
        """Takes the `#` from the unit's lines of the spool's key."""
        self._unit["SPOOL_KEY_FILE"] = self.etc / "spool-key"

    def settings(self):
        lines = self._settings_file.read_text().splitlines()
        return dict(line.split("=", 1) for line in lines if not line.startswith("#"))

    def set(self, **changed):
        before = self.settings() if self._settings_file.exists() else {}
        lines = [f"{name}={value}\n" for name, value in (before | changed).items()]
        self._settings_file.write_text("# Settings of mqtt-to-blob\n" + "".join(lines))

    def systemctl(self, *words):
        """The exit code."""
        *verbs, unit = words
        assert unit == "mqtt-to-blob", words
        assert verbs in (["start"], ["stop"], ["restart"], ["disable", "--now"]), words
        if verbs != ["start"] and self.bridge.running and self.bridge.stop() != 0:
            return 1
        if verbs in (["start"], ["restart"]) and not self.bridge.running:
            self.bridge.settings = self.settings() | self._unit
            self.bridge.start()
        return 0

    def run(self, name, within=60, code=0):
        """Runs a block of the document; returns what it printed."""
        commands = recipes()[name]
        for there, here in {
            "/etc/mqtt-to-blob": self.etc,
            "/var/lib/mqtt-to-blob": self.spool,
            "/usr/local/bin": self.bin,
            "127.0.0.1:9797": self.settings()["STATUS_ADDRESS"],
            "-p 1883": f"-p {self.settings()['BROKER_PORT']}",
            "broker2.example": "127.0.0.1",
            "BROKER_PORT=1884": f"BROKER_PORT={self._second_broker_port}",
        }.items():
            commands = commands.replace(there, str(here))
        output = self.folder / f"{name}.out"
        with open(output, "wb") as out:
            process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "--", *self.inside, "bash", "-eu", "-c", commands],
                cwd=self.work, env=self._environment(), stdin=subprocess.DEVNULL,
                stdout=out, stderr=out,
            )  # fmt: skip
        try:
            self._serve_until_it_ends(process, time.monotonic() + within)
        finally:
            process.kill()
            process.wait()
        said = output.read_text(errors="replace")
        assert process.returncode == code, f"{name} ended with {process.returncode}:\n{said}"
        return said

    def _environment(self):
        return {
            "PATH": f"{self.bin}:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": str(self.folder),
            "SITE": str(self.folder),
            "SPOOL_DIR": str(self.spool),  # stands in for the default
        }

    def _serve_until_it_ends(self, process, deadline):
        requests = os.open(self.folder / "requests", os.O_RDWR)
        answers = os.open(self.folder / "answers", os.O_RDWR)
        try:
            while process.poll() is None:
                assert time.monotonic() < deadline, f"still runs:\n{self.bridge.tail(20)}"
                if select.select([requests], [], [], 0.02)[0]:
                    words = os.read(requests, 4096).decode().split()
                    os.write(answers, f"{self.systemctl(*words)}\n".encode())
        finally:
            os.close(requests)
            os.close(answers)


def executable_of(bridge):
    """The bytes of the program that runs."""
    return pathlib.Path(f"/proc/{bridge.pid}/exe").read_bytes()
