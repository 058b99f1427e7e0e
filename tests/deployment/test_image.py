"""The container image: what is in it, and that its volume is all it needs to lose nothing."""

import json
import time
from types import SimpleNamespace

import engine
import pytest
from engine import Container, docker
from harness.judge import Judge
from harness.messages import pictures
from harness.metrics import Metrics
from harness.ports import accepts_connections, free_port
from harness.programs import REPOSITORY
from harness.publisher import Publisher
from harness.store import Bucket, Endpoint
from harness.waiting import wait_until

BUCKET = "umh-images"
CONFIG = REPOSITORY / "deploy" / "compose" / "mosquitto.conf"


@pytest.fixture(scope="module")
def image_config(bridge_image):
    return json.loads(docker("inspect", "--format", "{{json .Config}}", bridge_image))


def test_the_image_runs_as_a_user_by_number_and_is_stopped_by_sigterm(image_config):
    assert image_config["User"] == "65532:65532"
    assert image_config["StopSignal"] == "SIGTERM"
    assert image_config["Entrypoint"] == ["/usr/local/bin/mqtt-to-blob"]
    assert image_config["Healthcheck"]["Test"] == ["CMD", "/usr/local/bin/mqtt-to-blob", "--health"]
    assert list(image_config["Volumes"]) == ["/spool"]


def test_the_image_carries_oci_labels(image_config):
    labels = {key.removeprefix("org.opencontainers.image."): value
              for key, value in image_config["Labels"].items()}  # fmt: skip
    assert labels["title"] == "mqtt-to-blob"
    assert labels["version"] == "0.0.0-test"


def test_the_last_stage_has_the_libraries_and_no_compiler(bridge_image):
    assert docker("run", "--rm", bridge_image, "--version").startswith("mqtt-to-blob ")
    inside = docker(
        "run", "--rm", "--entrypoint", "sh", bridge_image, "-c",
        "command -v g++ cmake ninja; ls -d /src /usr/include/lmdb.h 2>/dev/null; echo; id -u",
    )  # fmt: skip
    assert inside.split() == ["65532"]


class Plant:
    """Broker, store and bridge on a network of their own; broker and store also on loopback."""

    def __init__(self, services_image, bridge_image, minio):
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
        # Nothing but what the original's users set.
        self.bridge = Container(
            "bridge", bridge_image,
            options=["--network", self._network, "--read-only",
                     "--volume", f"{engine.PREFIX}-spool:/spool"],
            BROKER_URL="broker", BROKER_PORT=1883, TOPIC="ia/rawImage/#",
            MINIO_URL="store:9000", MINIO_SECURE="False",
            MINIO_ACCESS_KEY="plant", MINIO_SECRET_KEY="plant-secret",
            BUCKET_NAME=BUCKET, LOGGING_LEVEL="DEBUG",
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

    def start_bridge(self):
        self.bridge.start()
        wait_until(self.is_subscribed, 30, self.bridge.log, poll=0.5)

    def is_subscribed(self):
        return self.status("/readyz", "-o", "/dev/null", "-w", "%{http_code}") == "200"


@pytest.fixture
def plant(services_image, bridge_image, minio):
    yield Plant(services_image, bridge_image, minio)
    engine.remove_all()


def test_pictures_survive_the_kill_of_the_container_on_its_volume_alone(plant):
    plant.broker.start()
    plant.start_bridge()
    judge = Judge(plant.bucket())
    publisher = plant.publisher(judge)

    # The store is down: all of it goes to the volume.
    messages = pictures(50, size=60_000)
    publisher.send(*messages)
    wait_until(lambda: plant.spooled() == 50, 30, plant.bridge.log, poll=0.5)
    publisher.close()

    # Not even the broker can help any more.
    plant.bridge.kill()
    plant.broker.stop()
    plant.bridge.remove()
    plant.bridge.create().start()
    plant.store.start()
    wait_until(plant.endpoint().is_ready, 60, plant.store.log, poll=0.5)

    judge.assert_exactly_stored(within=60)
    assert judge.expected_count == 50
    plant.bridge.wait_until_healthy()


def test_the_container_stops_quickly_and_with_code_0(plant):
    plant.broker.start()
    plant.start_bridge()
    before = time.monotonic()
    plant.bridge.stop()
    assert time.monotonic() - before < 10
    assert plant.bridge.state()["ExitCode"] == 0, plant.bridge.log()


def test_the_container_is_healthy_without_broker_and_store(plant):
    plant.bridge.start()
    plant.bridge.wait_until_healthy()
