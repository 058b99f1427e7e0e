"""compose.yaml, with stand-ins for the images that a registry would have to give."""

import json
import os
import urllib.request
from types import SimpleNamespace

import engine
import pytest
from engine import run
from harness.judge import Judge
from harness.messages import picture
from harness.ports import free_port
from harness.programs import REPOSITORY
from harness.publisher import Publisher
from harness.store import Bucket, Endpoint
from harness.waiting import wait_until
from plant import assert_unprivileged, kernel_status

STAND_INS = """
services:
  broker:
    image: {services}
  store:
    image: {services}
    entrypoint: ["/usr/local/bin/minio"]
    volumes:
      - {minio}:/usr/local/bin/minio:ro
  bridge:
    image: {bridge}
"""


class Project:
    """What `docker compose up` makes of compose.yaml, on free ports."""

    def __init__(self, command, override):
        self.broker_port, self.store_port, self.status_port = free_port(), free_port(), free_port()
        files = ["-f", REPOSITORY / "compose.yaml", "-f", override]
        self._command = [*command, "-p", engine.PREFIX, *files]
        self._environment = os.environ | {
            "BROKER_LISTEN": f"127.0.0.1:{self.broker_port}",
            "STORE_LISTEN": f"127.0.0.1:{self.store_port}",
            "CONSOLE_LISTEN": f"127.0.0.1:{free_port()}",
            "STATUS_LISTEN": f"127.0.0.1:{self.status_port}",
            "STORE_USER": "compose",
            "STORE_PASSWORD": "compose-secret",
        }

    def __call__(self, *arguments, **options):
        return run(*self._command, *arguments, within=180, env=self._environment, **options).stdout

    def log(self):
        return self("logs", "--tail", "40", check=False)

    def is_ready(self):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.status_port}/readyz", timeout=5):
                return True
        except OSError:
            return False

    def bridge(self):
        """The bridge's container: (its host configuration, what the kernel says of its process)."""
        (id_,) = self("ps", "-q", "bridge").split()
        config = json.loads(engine.docker("inspect", "--format", "{{json .HostConfig}}", id_))
        return config, kernel_status(id_)

    def health(self):
        """Of each service that has a health check."""
        ids = self("ps", "-q").split()
        states = engine.docker("inspect", "--format", "{{.State.Health.Status}}", *ids)
        return states.split()


@pytest.fixture
def project(tmp_path, bridge_image, services_image, minio):
    command = engine.compose_command()
    if command is None:
        pytest.skip("neither `docker compose` nor `docker-compose` is installed")
    override = tmp_path / "stand-ins.yaml"
    override.write_text(
        STAND_INS.format(services=services_image, bridge=bridge_image, minio=minio)
    )
    project = Project(command, override)
    yield project
    project("down", "--volumes", "--remove-orphans", "--timeout", "15", check=False)


def test_a_picture_passes_through_compose_yaml_as_it_stands(project):
    project("config", "--quiet")
    project("up", "--no-build", "--detach")
    wait_until(project.is_ready, 60, project.log, poll=0.5)
    store = Endpoint(project.store_port, "compose", "compose-secret")
    wait_until(store.is_ready, 60, project.log, poll=0.5)
    judge = Judge(Bucket(store, "pictures"))
    with Publisher(SimpleNamespace(port=project.broker_port), judge) as publisher:
        publisher.send(picture(topic="ia/factory1/line1/station1/productImage"))
    judge.assert_exactly_stored(within=30)
    wait_until(lambda: project.health() == ["healthy"] * 3, 60, project.log, poll=1)
    config, status = project.bridge()
    assert_unprivileged(status)
    assert config["ReadonlyRootfs"] and not config["Privileged"]
    assert (config["Memory"], config["PidsLimit"]) == (640 << 20, 512)
    assert config["LogConfig"]["Config"]["max-size"]
