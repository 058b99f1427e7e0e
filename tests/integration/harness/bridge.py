"""The daemon as an operator has it: environment, signals, exit codes, log and status port."""

import http.client
import os
import pathlib
import re
import subprocess

from harness.metrics import Metrics
from harness.ports import free_port
from harness.service import Service
from harness.store import REPOSITORY
from harness.waiting import wait_until

LOG_LINE = re.compile(
    r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d) "
    r"(DEBUG|INFO|WARNING|ERROR|CRITICAL) +([a-z][a-z-]*): (\S.*)$"
)


def bridge_binary():
    binary = pathlib.Path(
        os.environ.get("MQTT_TO_BLOB_BIN", REPOSITORY / "build" / "release" / "mqtt-to-blob")
    ).resolve()
    assert os.access(binary, os.X_OK), f"no daemon at {binary}: build it, or set MQTT_TO_BLOB_BIN"
    return binary


class Bridge(Service):
    """`settings` are environment variables; the rest of the environment is empty.

    None takes a setting away that the harness would give.
    """

    def __init__(self, folder, settings, name="bridge", wrapper=()):
        super().__init__(name, folder)
        self.status_port = free_port()
        self.spool_dir = folder / "spool"
        self._wrapper = list(wrapper)  # a command that runs the daemon, e.g. unshare
        self.arguments = []
        self.settings = {
            "SPOOL_DIR": str(self.spool_dir),
            "STATUS_ADDRESS": f"127.0.0.1:{self.status_port}",
            "LOGGING_LEVEL": "INFO",
        } | settings

    def command(self):
        return [*self._wrapper, bridge_binary(), *self.arguments]

    def environment(self):
        given = {key: str(value) for key, value in self.settings.items() if value is not None}
        return super().environment() | {"HOME": str(self.folder)} | given

    def is_up(self):
        return self.status_of("/livez") == 200

    def run(self, *arguments, within=15, **changed_settings):
        """Runs the binary once with arguments, e.g. --check, beside the daemon or without it."""
        environment = self.environment()
        for key, value in changed_settings.items():
            environment.pop(key, None)
            if value is not None:
                environment[key] = str(value)
        return subprocess.run(
            [bridge_binary(), *arguments],
            env=environment,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=within,
            text=True,
        )

    # Status.

    def request(self, path, method="GET"):
        """(status, headers, body), or None where nothing answers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.status_port, timeout=5)
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read().decode()
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()

    def status_of(self, path):
        answer = self.request(path)
        return answer[0] if answer else None

    def metrics(self):
        answer = self.request("/metrics")
        assert answer is not None, f"no status listener:\n{self.tail()}"
        status, _, body = answer
        assert status == 200, (status, body)
        return Metrics(body)

    def metric(self, name, **labels):
        return self.metrics().value(f"mqtt_to_blob_{name}", 0.0, **labels)

    def total(self, name):
        return self.metrics().sum(f"mqtt_to_blob_{name}")

    def dead_letters(self):
        """reason -> count"""
        counts = self.metrics().by_label("mqtt_to_blob_dead_letters_total", "reason")
        return {reason: int(count) for reason, count in counts.items() if count}

    def wait_until_ready(self, within=15):
        wait_until(
            lambda: self.status_of("/readyz") == 200,
            within,
            lambda: f"{self.name} is ready: {self.request('/readyz')}\n{self.tail()}",
        )
        return self

    def wait_until_spool_is_empty(self, within=20):
        wait_until(
            lambda: self.metric("spool_messages") == 0,
            within,
            lambda: f"the spool is empty: {self.metric('spool_messages')}\n{self.tail()}",
        )

    def wait_until_acknowledged(self, count, within=20):
        """It has acknowledged so many messages since it was started."""
        wait_until(
            lambda: self.total("messages_acknowledged_total") >= count,
            within,
            lambda: f"{count} acknowledged: {self.total('messages_acknowledged_total')}",
        )

    def start_ready(self, within=20):
        self.start()
        return self.wait_until_ready(within)

    def private_bytes(self):
        """Memory without the mapped spool file, whose pages the kernel may take back."""
        with open(f"/proc/{self.pid}/status") as status:
            kibibytes = re.search(r"^RssAnon:\s+(\d+) kB$", status.read(), re.MULTILINE).group(1)
        return int(kibibytes) * 1024
