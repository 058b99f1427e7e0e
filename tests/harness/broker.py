"""A real mosquitto on a loopback port."""

import getpass
import os
import re
import shutil
import subprocess

from harness.ports import accepts_connections, free_port
from harness.service import Service

MOSQUITTO = shutil.which("mosquitto") or "/usr/sbin/mosquitto"


class Broker(Service):
    """Keeps its sessions over a stop and start, unless `persistent` is false.

    mosquitto writes its database at a stop (SIGTERM) only: so tests stop it when it must keep what
    it acknowledged, since a killed broker forgets messages that nobody else can bring back.
    """

    def __init__(self, folder, name="broker", persistent=True):
        super().__init__(name, folder)
        self.port = free_port()
        self.persistent = persistent
        self._passwords = folder / "passwords"
        self._config = folder / "mosquitto.conf"
        self.password_required = False
        self._more_listeners = {}  # port -> lines of the configuration
        assert os.access(MOSQUITTO, os.X_OK), "mosquitto is not installed"

    def command(self):
        self._write_config()
        return [MOSQUITTO, "-c", self._config]

    def is_up(self):
        return accepts_connections(self.port)

    def allow_only(self, username, password):
        """From the next start on everybody must log in."""
        self._passwords.unlink(missing_ok=True)
        subprocess.run(
            ["mosquitto_passwd", "-b", "-c", str(self._passwords), username, password],
            check=True,
            capture_output=True,
        )
        self.password_required = True

    def listen(
        self, port=None, websockets=False, identity=None, clients_of=None, address="127.0.0.1"
    ):
        """From the next start on it listens on another port too, which is returned: with TLS where
        it has an identity, and then for clients of an authority alone if one is given."""
        port = port or free_port()
        lines = [f"listener {port} {address}"]
        if websockets:
            lines.append("protocol websockets")
        if identity is not None:
            lines += [f"certfile {identity.certificate}", f"keyfile {identity.key}"]
        if clients_of is not None:
            lines += [f"cafile {clients_of.certificate}", "require_certificate true"]
        self._more_listeners[port] = lines
        return port

    def subscriptions(self, since=0):
        """(client id, QoS, filter) of each subscription it granted, in order."""
        lines = re.findall(r"^\S+ (\S+) ([0-2]) (\S.*)$", self.said_since(since), re.MULTILINE)
        return [(client, int(qos), topic) for client, qos, topic in lines]

    def wait_for_subscription(self, topic_filter, within=15, since=0):
        """Waits until somebody subscribed to the filter after the mark."""
        # A shared subscription is logged with its prefix.
        self.wait_for_log(
            re.compile(rf"^\S+ \S+ [0-2] {re.escape(topic_filter)}$", re.MULTILINE), within, since
        )

    def _write_config(self):
        lines = [
            f"listener {self.port} 127.0.0.1",
            f"user {getpass.getuser()}",
            f"allow_anonymous {'false' if self.password_required else 'true'}",
            f"persistence {'true' if self.persistent else 'false'}",
            f"persistence_location {self.folder}/",
            "autosave_interval 0",
            "max_queued_messages 0",
            "log_dest stderr",
            "log_type error",
            "log_type warning",
            "log_type notice",
            "log_type information",
            "log_type subscribe",
            "log_type unsubscribe",
            "log_timestamp_format %Y-%m-%dT%H:%M:%S",
        ]
        if self.password_required:
            lines.append(f"password_file {self._passwords}")
        for more in self._more_listeners.values():
            lines += more
        self._config.write_text("\n".join(lines) + "\n")
