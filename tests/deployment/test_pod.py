"""The chart's pod, run by Docker as a kubelet has it run, from the manifest and nothing else."""

import os
import urllib.request

import engine
import pytest
from engine import docker, run
from harness.judge import Judge
from harness.messages import pictures
from harness.ports import free_port
from harness.waiting import wait_until
from manifests import ChartTool, environment_of, pod_of, values
from plant import Plant, assert_unprivileged, kernel_status

_KIBIBYTES = {"Ki": 1, "Mi": 1 << 10, "Gi": 1 << 20}


def kibibytes(quantity):
    return int(quantity[:-2]) * _KIBIBYTES[quantity[-2:]]


def mount_secret(objects, folder):
    """As the kubelet: a file for each item, of the group fsGroup, with the volume's mode."""
    pod = pod_of(objects)
    (volume,) = [one["secret"] for one in pod["volumes"] if one["name"] == "credentials"]
    folder.mkdir()
    for item in volume["items"]:
        file = folder / item["path"]
        file.write_text(objects["Secret"]["stringData"][item["key"]])
        os.chown(file, 0, pod["securityContext"]["fsGroup"])
        file.chmod(volume["defaultMode"])


def make_volume(name, image, group):
    """As the kubelet leaves a claim with fsGroup: root's, written by the group, which is inherited."""
    docker("volume", "create", name)
    docker("run", "--rm", "--user", "0", "--entrypoint", "sh", "--volume", f"{name}:/v", image, "-c",
           f"mkdir /v/lost+found && chown 0:{group} /v && chmod 2775 /v")  # fmt: skip


def options_of(pod, secret_folder, port):
    """The container's, as flags of `docker run`."""
    (container,) = pod["containers"]
    own, shared = container["securityContext"], pod["securityContext"]
    assert shared["seccompProfile"]["type"] == "RuntimeDefault"  # Docker's without a flag, too
    mounts = {one["name"]: one["mountPath"] for one in container["volumeMounts"]}
    options = [
        "--user", f"{shared['runAsUser']}:{shared['runAsGroup']}",
        "--group-add", shared["fsGroup"],
        "--memory", f"{kibibytes(container['resources']['limits']['memory'])}k",
        "--volume", f"{secret_folder}:{mounts['credentials']}:ro",
        "--publish", f"127.0.0.1:{port}:{container['ports'][0]['containerPort']}",
    ]  # fmt: skip
    for capability in own["capabilities"]["drop"]:
        options += ["--cap-drop", capability]
    if own["readOnlyRootFilesystem"]:
        options.append("--read-only")
    if not own["allowPrivilegeEscalation"]:
        options += ["--security-opt", "no-new-privileges"]
    return options


def answers(port, probe):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{probe['httpGet']['path']}", timeout=5):
            return True
    except OSError:
        return False


@pytest.fixture
def objects(tmp_path):
    return ChartTool(tmp_path).objects(values(), tmp_path)


@pytest.fixture
def plant(objects, tmp_path, services_image, bridge_image, minio):
    if os.geteuid() != 0:
        pytest.skip("giving files to a group needs root")
    pod = pod_of(objects)
    port = free_port()
    mount_secret(objects, tmp_path / "credentials")
    make_volume(Plant.spool_volume, services_image, pod["securityContext"]["fsGroup"])
    plant = Plant(services_image, bridge_image, minio,
                  options_of(pod, tmp_path / "credentials", port), **environment_of(objects))  # fmt: skip
    (plant.container,) = pod["containers"]
    plant.probe = lambda kind: answers(port, plant.container[f"{kind}Probe"])
    yield plant
    engine.remove_all()


def test_pictures_pass_through_the_pod_and_survive_it(plant):
    plant.bridge.start()
    wait_until(lambda: plant.probe("startup"), 30, plant.bridge.log, poll=0.2)
    assert plant.probe("liveness") and not plant.probe("readiness"), "there is no broker yet"
    assert_unprivileged(kernel_status(plant.bridge.name))
    # A folder in a volume that fsGroup has made ours inherits the bit for the group.
    assert docker("exec", plant.bridge.name, "stat", "-c", "%a %u", "/spool/data") == "2700 65532"
    assert run("docker", "exec", plant.bridge.name, "touch", "/credentials/x", check=False).returncode

    plant.broker.start()
    wait_until(lambda: plant.probe("readiness"), 30, plant.bridge.log, poll=0.2)
    judge = Judge(plant.bucket())
    with plant.publisher(judge) as publisher:
        publisher.send(*pictures(20, size=60_000))
    told = docker("exec", plant.bridge.name, "mqtt-to-blob", "spool", "stat")
    assert "waiting          20 (" in told, told

    # Evicted in mid-work, and started elsewhere on the claim.
    plant.bridge.kill()
    plant.bridge.remove()
    plant.bridge.create().start()
    plant.store.start()
    wait_until(plant.endpoint().is_ready, 60, plant.store.log, poll=0.5)
    judge.assert_exactly_stored(within=60)
    plant.bridge.stop()
    assert plant.bridge.state()["ExitCode"] == 0, plant.bridge.log()
