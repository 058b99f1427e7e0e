"""The image at work: broker, store and bridge, each in a container."""

import shlex
from types import SimpleNamespace

import engine
from engine import Container, docker
from harness.metrics import Metrics
from harness.ports import accepts_connections, free_port
from harness.programs import REPOSITORY
from harness.publisher import Publisher
from harness.store import Bucket, Endpoint
from harness.waiting import wait_until

BUCKET = "umh-images"
CONFIG = REPOSITORY / "deploy" / "compose" / "mosquitto.conf"
# Nothing but what the original's users set.
ORIGINAL_SETTINGS = {
    "BROKER_URL": "broker", "BROKER_PORT": 1883, "TOPIC": "ia/rawImage/#",
    "MINIO_URL": "store:9000", "MINIO_SECURE": "False",
    "MINIO_ACCESS_KEY": "plant", "MINIO_SECRET_KEY": "plant-secret",
    "BUCKET_NAME": BUCKET, "LOGGING_LEVEL": "DEBUG",
}  # fmt: skip


def options_of_readme():
    """What the README's `docker run` says on top of name, volume and settings: the hardening."""
    text = (REPOSITORY / "README.md").read_text()
    (command,) = [
        block for block in text.replace("\\\n", " ").splitlines() if block.startswith("docker run ")
    ]
    words = iter(shlex.split(command)[2:-1])
    kept = []
    for word in words:
        if word in ("--name", "--restart", "-e", "-v"):
            next(words)
        elif word != "-d":
            kept.append(word)
    return kept


class Plant:
    """Broker, store and bridge on a network of their own; broker and store also on loopback."""

    spool_volume = f"{engine.PREFIX}-spool"

    def __init__(self, services_image, bridge_image, minio, bridge_options=(), **bridge_environment):
        """The bridge has its own settings if any are given, and the others' else."""
        self._network = f"{engine.PREFIX}-plant"
        docker("network", "create", self._network)
        self.broker_port, self.store_port = free_port(), free_port()
        on_network = ("--network", self._network, "--network-alias")
        self.broker = Container(
            "broker", services_image,
            options=[*on_network, "broker", "--publish", f"127.0.0.1:{self.broker_port}:1883",
                     "--volume", f"{CONFIG}:/mosquitto/config/mosquitto.conf:ro"],
        ).create()  # fmt: skip
        self.store = Container(
            "store", services_image, "minio", "server", "--quiet", "/data",
            options=[*on_network, "store", "--publish", f"127.0.0.1:{self.store_port}:9000",
                     "--volume", f"{minio}:/usr/local/bin/minio:ro"],
            MINIO_ROOT_USER="plant", MINIO_ROOT_PASSWORD="plant-secret",
        ).create()  # fmt: skip
        self.bridge = Container(
            "bridge", bridge_image,
            options=["--network", self._network, "--volume", f"{self.spool_volume}:/spool",
                     *(bridge_options or options_of_readme())],
            **(bridge_environment or ORIGINAL_SETTINGS),
        ).create()  # fmt: skip
        self._curl = ("run", "--rm", "--network", f"container:{self.bridge.name}", services_image,
                      "curl", "-sS", "-m", "5")  # fmt: skip

    def endpoint(self):
        return Endpoint(self.store_port, "plant", "plant-secret")

    def bucket(self):
        return Bucket(self.endpoint(), BUCKET)

    def publisher(self, judge):
        wait_until(lambda: accepts_connections(self.broker_port), 20, self.broker.log)
        return Publisher(SimpleNamespace(port=self.broker_port), judge)

    def status(self, path, *options):
        """From inside of the bridge's network, as its listener is on loopback."""
        return docker(*self._curl, *options, f"http://127.0.0.1:9797{path}", check=False)

    def spooled(self):
        return Metrics(self.status("/metrics") + "\n").value("mqtt_to_blob_spool_messages", 0.0)

    def dead_letters(self):
        return Metrics(self.status("/metrics") + "\n").value("mqtt_to_blob_dead_letters", 0.0)

    def start_bridge(self):
        self.bridge.start()
        wait_until(self.is_subscribed, 30, self.bridge.log, poll=0.5)

    def is_subscribed(self):
        return self.status("/readyz", "-o", "/dev/null", "-w", "%{http_code}") == "200"


def kernel_status(container):
    """What the kernel says of the container's first process: name -> value."""
    lines = docker("exec", container, "cat", "/proc/1/status").splitlines()
    return dict(line.split(":\t", 1) for line in lines)


def assert_unprivileged(privileges):
    """No capability now or ever, no way to more rights, and a filter of system calls in force."""
    for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(privileges[kind], 16) == 0, (kind, privileges[kind])
    assert privileges["NoNewPrivs"] == "1"
    assert privileges["Seccomp"] == "2", "no filter: is seccomp off in this engine?"
    assert privileges["Uid"].split() == privileges["Gid"].split() == ["65532"] * 4
