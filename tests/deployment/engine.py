"""Docker as the tests use it: by its command, everything named so that all of it can be removed."""

import json
import os
import shutil
import subprocess

from harness.programs import REPOSITORY
from harness.waiting import wait_until

PREFIX = f"m2b-test-{os.getpid()}"
BRIDGE_IMAGE = "mqtt-to-blob:test"
SERVICES_IMAGE = "m2b-test-services"


def run(*command, within=60, check=True, **options):
    """The finished process; its output is text."""
    finished = subprocess.run(
        list(map(str, command)),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=within,
        **options,
    )
    if check:
        assert finished.returncode == 0, f"{command}:\n{finished.stdout}{finished.stderr}"
    return finished


def docker(*arguments, **options):
    return run("docker", *arguments, **options).stdout.strip()


def why_missing():
    """Why there is no engine to test with, or None."""
    if not shutil.which("docker"):
        return "docker is not installed"
    try:
        answer = run("docker", "version", within=10, check=False)
    except subprocess.TimeoutExpired:
        return "the Docker engine does not answer"
    return None if answer.returncode == 0 else f"no Docker engine: {answer.stderr.strip()}"


def compose_command():
    """`docker compose`, the older `docker-compose`, or None."""
    for command in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(command[0]) and not run(*command, "version", check=False).returncode:
            return command
    return None


def build(image, folder, *options):
    docker("build", "--tag", image, *options, folder, within=1500)


def make_base_image():
    run(REPOSITORY / "scripts" / "docker-base", within=900)


def remove_all():
    """Whatever carries our prefix: containers, then what they used."""
    named = ("--quiet", "--filter", f"name={PREFIX}")
    for ids, remove in (
        (docker("ps", "--all", *named), ("rm", "--force", "--volumes")),
        (docker("volume", "ls", *named), ("volume", "rm", "--force")),
        (docker("network", "ls", *named), ("network", "rm")),
    ):
        if ids:
            docker(*remove, *ids.split(), check=False)


class Container:
    """One container under test's control, named after its role."""

    def __init__(self, role, image, *command, options=(), **environment):
        self.name = f"{PREFIX}-{role}"
        self._image = image
        self._command = command
        self._options = list(options)
        for key, value in environment.items():
            self._options += ["--env", f"{key}={value}"]

    def create(self):
        docker("create", "--name", self.name, *self._options, self._image, *self._command)
        return self

    def start(self):
        docker("start", self.name)
        return self

    def kill(self):
        """As a crash: the process cannot do anything any more."""
        docker("kill", "--signal", "KILL", self.name)
        docker("wait", self.name)

    def stop(self, within=15):
        docker("stop", "--time", within, self.name, within=within + 30)

    def remove(self):
        docker("rm", "--force", self.name)

    def state(self):
        return json.loads(docker("inspect", "--format", "{{json .State}}", self.name))

    def wait_until_healthy(self, within=60):
        wait_until(
            lambda: self.state()["Health"]["Status"] == "healthy",
            within,
            lambda: f"{self.name} is healthy: {self.state()}\n{self.log()}",
            poll=0.5,
        )

    def log(self):
        finished = run("docker", "logs", "--tail", "60", self.name, check=False)
        return finished.stdout + finished.stderr
