"""A real Prometheus on a loopback port, and promtool."""

import json
import re
import shutil
import subprocess
import urllib.request

from harness.ports import free_port
from harness.programs import REPOSITORY
from harness.service import Service
from harness.waiting import wait_until

RULES = REPOSITORY / "deploy" / "prometheus" / "alerts.yml"
# What the alarms wait for and look back on, where a test cannot wait for days.
_WAITS = "500ms"
_LOOKS_BACK = "5s"


def promtool(*arguments, stdin=None):
    """What it says; its failure fails the test."""
    done = subprocess.run(
        ["promtool", *map(str, arguments)], input=stdin, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, f"promtool {arguments}:\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def shortened(rules):
    """The rules with all their times shortened, and nothing else."""
    rules, waits = re.subn(r"(?m)^( +for:) \d+[mhd]$", rf"\1 {_WAITS}", rules)
    rules, ranges = re.subn(r"\[\d+[mhd]\]", f"[{_LOOKS_BACK}]", rules)
    assert waits > 5 and ranges > 3, "the rules do not look as they did"
    return rules


class Prometheus(Service):
    """Scrapes one bridge four times a second and has the rules of deploy/, shortened.

    It takes some five seconds until its first scrape.
    """

    def __init__(self, folder, bridge, name="prometheus"):
        super().__init__(name, folder)
        self._bridge = bridge
        self.port = free_port()
        self._binary = shutil.which("prometheus")
        assert self._binary, "Prometheus is not installed: scripts/install-deps test"

    def command(self):
        (self.folder / "alerts.yml").write_text(shortened(RULES.read_text()))
        config = self.folder / "prometheus.yml"
        config.write_text(
            "global: {scrape_interval: 250ms, scrape_timeout: 250ms, evaluation_interval: 250ms}\n"
            "rule_files: [alerts.yml]\n"
            "scrape_configs:\n"
            "  - job_name: mqtt-to-blob\n"
            f"    static_configs: [targets: ['127.0.0.1:{self._bridge.status_port}']]\n"
        )
        return [
            self._binary, f"--config.file={config}", f"--storage.tsdb.path={self.folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{self.port}", "--log.level=warn",
        ]  # fmt: skip

    def is_up(self):
        try:
            return self._get("/-/ready") is not None
        except OSError:
            return False

    def firing(self):
        """Names of the alarms that fire."""
        alerts = json.loads(self._get("/api/v1/alerts"))["data"]["alerts"]
        return {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}

    def wait_until_firing(self, *names, within=15):
        wait_until(
            lambda: {f"MqttToBlob{name}" for name in names} <= self.firing(),
            within,
            lambda: f"{names} fire, beside {self.firing()}:\n{self._bridge.tail(10)}",
        )

    def wait_until_clear(self, *names, within=20):
        """Of these names, or of all alarms."""

        def is_clear():
            firing = self.firing()
            return not (firing & {f"MqttToBlob{name}" for name in names} if names else firing)

        wait_until(
            is_clear,
            within,
            lambda: f"{names or 'all'} are clear of {self.firing()}:\n{self._bridge.tail(10)}",
        )

    def has_seen(self, bridge):
        """Whether it has scraped this life of the bridge."""
        started = bridge.metrics().value("process_start_time_seconds")
        answer = json.loads(self._get("/api/v1/query?query=process_start_time_seconds"))
        return any(abs(float(r["value"][1]) - started) < 0.001 for r in answer["data"]["result"])

    def _get(self, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
            return answer.read().decode()
