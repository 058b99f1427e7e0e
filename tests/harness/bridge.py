"""The daemon as an operator has it: environment, signals, exit codes, log and status port."""

import http.client
import json
import os
import pathlib
import re
import subprocess

from harness.dead_letters import read_dead_letters
from harness.metrics import Metrics
from harness.ports import free_port
from harness.programs import REPOSITORY
from harness.service import Service
from harness.volumes import seen_by
from harness.waiting import wait_until

LOG_LINE = re.compile(
    r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d) "
    r"(DEBUG|INFO|WARNING|ERROR|CRITICAL) +([a-z][a-z-]*): (\S.*)$"
)


def bridge_binary():
    return _binary("MQTT_TO_BLOB_BIN", "release")


def laboratory_binary():
    """The build with fail points (include/m2b/util/fail_point.hpp), which nobody ships."""
    return _binary("M2B_LABORATORY_BIN", "laboratory")


def _binary(variable, preset):
    default = REPOSITORY / "build" / preset / "mqtt-to-blob"
    binary = pathlib.Path(os.environ.get(variable, default)).resolve()
    assert os.access(binary, os.X_OK), f"no daemon at {binary}: build it, or set {variable}"
    return binary


class Bridge(Service):
    """`settings` are environment variables; the rest of the environment is empty.

    None takes a setting away that the harness would give.
    """

    def __init__(self, folder, settings, name="bridge", wrapper=(), binary=None):
        super().__init__(name, folder)
        self.binary = binary or bridge_binary()
        self.status_port = free_port()
        self.spool_dir = folder / "spool"
        self.wrapper = list(wrapper)  # a command that runs the daemon, e.g. unshare
        self.arguments = []
        self.settings = {
            "SPOOL_DIR": str(self.spool_dir),
            "STATUS_ADDRESS": f"127.0.0.1:{self.status_port}",
            "LOGGING_LEVEL": "INFO",
        } | settings

    def command(self):
        return [*self.wrapper, self.binary, *self.arguments]

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
            [self.binary, *arguments],
            env=environment,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=within,
            text=True,
        )

    # Status.

    def request(self, path, method="GET", headers=None, body=None, binary=False):
        """(status, headers, body), or None where nothing answers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.status_port, timeout=5)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            read = answer.read()
            return answer.status, answer.headers, read if binary else read.decode()
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()

    def status_of(self, path):
        answer = self.request(path)
        return answer[0] if answer else None

    def status(self):
        """The document of /status."""
        answer = self.request("/status")
        assert answer is not None and answer[0] == 200, (answer, self.tail())
        return json.loads(answer[2])

    def act(self, deed, ids, token, **headers):
        """Replays or drops dead letters as the status page does: the status of the answer."""
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"} | headers
        body = json.dumps({"ids": ids})
        return self.request(f"/dead-letters/{deed}", "POST", headers, body)[0]

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

    def stat(self):
        """What `mqtt-to-blob spool stat` says beside the daemon, or without it."""
        spool = seen_by(self.pid, self.settings["SPOOL_DIR"])
        done = self.run("spool", "stat", "--json", SPOOL_DIR=spool, within=60)
        assert done.returncode == 0, done
        return json.loads(done.stdout)

    def read_dead_letters(self):
        """What is on disk, read beside the running daemon: nothing may be on its way there."""
        return read_dead_letters(seen_by(self.pid, self.settings["SPOOL_DIR"]))

    def wait_until_subscribed(self, within=15):
        """It hears the broker, which has granted the topics; whatever the store does."""

        def is_subscribed():
            metrics = self.metrics()
            return all(
                metrics.value(f"mqtt_to_blob_broker_{name}") == 1 for name in ("subscribed", "alive")
            )

        wait_until(
            is_subscribed,
            within,
            lambda: f"{self.name} is subscribed: {self.request('/readyz')}\n{self.tail()}",
        )
        return self

    def wait_until_ready(self, within=15):
        """Nothing is in trouble, neither broker nor store nor disk."""
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

    def wait_until_it_takes_no_more(self, sent, within=20):
        """The count of acknowledged messages stops below what was sent; returns it."""
        counts = []

        def stopped():
            counts.append(self.total("messages_acknowledged_total"))
            return len(counts) >= 10 and counts[-1] and len(set(counts[-10:])) == 1

        wait_until(stopped, within, "the bridge stops acknowledging", poll=0.1)
        assert counts[-1] < sent, "all of it was acknowledged: the spool did not fill"
        return counts[-1]

    def start_subscribed(self, within=20):
        self.start()
        return self.wait_until_subscribed(within)

    def private_bytes(self):
        """Memory without the mapped spool file, whose pages the kernel may take back."""
        with open(f"/proc/{self.pid}/status") as status:
            kibibytes = re.search(r"^RssAnon:\s+(\d+) kB$", status.read(), re.MULTILINE).group(1)
        return int(kibibytes) * 1024

    def open_handles(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def threads(self):
        return len(os.listdir(f"/proc/{self.pid}/task"))

    def spool_file_bytes(self):
        return (self.spool_dir / "records" / "data.mdb").stat().st_size
