"""The container image: what is in it, and that its volume is all it needs to lose nothing."""

import json
import time

import engine
import pytest
from engine import docker, run
from harness.judge import Judge
from harness.messages import Message, picture, pictures
from harness.programs import REPOSITORY
from harness.waiting import wait_until
from plant import Plant, assert_unprivileged, kernel_status, options_of_readme
from site_of_systemd import recipes


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


def test_the_image_says_what_it_is_made_of(bridge_image):
    def inside(command):
        return docker("run", "--rm", "--entrypoint", "sh", bridge_image, "-c", command)

    folder = "/usr/share/doc/mqtt-to-blob"
    sbom = json.loads(inside(f"cat {folder}/sbom.spdx.json"))
    (program,) = [p for p in sbom["packages"] if p["name"] == "mqtt-to-blob"]
    sha256 = inside("sha256sum /usr/local/bin/mqtt-to-blob").split()[0]
    assert program["checksums"] == [{"algorithm": "SHA256", "checksumValue": sha256}]
    # The libraries of the image itself, not those of the stage that it was built in.
    listed = {(p["name"], p["versionInfo"]) for p in sbom["packages"]}
    owners = inside(
        "ldd /usr/local/bin/mqtt-to-blob | grep -oE '/[^ ]+' | while read l; do p=$(realpath $l);"
        " dpkg-query -S $p 2>/dev/null || dpkg-query -S ${p#/usr}; done | cut -d: -f1 | sort -u |"
        " xargs dpkg-query -W -f '${Package} ${Version}\\n'"
    )
    linked = {tuple(line.split()) for line in owners.splitlines()}
    assert len(linked) > 10 and linked <= listed, linked - listed
    assert "EPL-2.0" in inside(f"cat {folder}/THIRD_PARTY.md")
    assert "Eclipse" in inside(f"cat {folder}/licences/libpaho-mqtt-dev")


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


def test_what_waits_is_exported_out_of_the_container_as_the_readme_says(plant, tmp_path):
    commands = recipes(REPOSITORY / "README.md")["export"]
    for of_container in ("exec {} ", "cp {}:"):
        named = of_container.format("mqtt-to-blob")
        assert named in commands
        commands = commands.replace(named, of_container.format(plant.bridge.name))
    plant.broker.start()
    plant.start_bridge()
    messages = pictures(10, size=20_000)
    with plant.publisher(None) as publisher:  # the store is down
        publisher.send(*messages)
    wait_until(lambda: plant.spooled() == 10, 30, plant.bridge.log, poll=0.5)

    run("bash", "-euc", commands, cwd=tmp_path)

    copy = tmp_path / "copy"
    index = [json.loads(line) for line in (copy / "index.jsonl").read_text().splitlines()]
    assert [(copy / about["file"]).read_bytes() for about in index] == [
        message.payload for message in messages
    ]
    assert plant.spooled() == 10
    assert "copy" not in docker("exec", plant.bridge.name, "ls", "/spool").split()


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


def test_the_readme_s_container_has_no_right_that_it_does_not_need(plant):
    assert {"--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges"} <= set(
        options_of_readme()
    )
    plant.bridge.start()
    wait_until(lambda: plant.status("/livez") == "ok", 30, plant.bridge.log, poll=0.2)
    assert_unprivileged(kernel_status(plant.bridge.name))
    # What the image's own tools try is refused by the kernel.
    for attempt in ("touch /etc/anything", "touch /tmp/anything", "mount -t tmpfs none /spool",
                    "chown 0 /spool", "unshare --user true"):  # fmt: skip
        refused = run("docker", "exec", plant.bridge.name, *attempt.split(), check=False)
        assert refused.returncode != 0, attempt


def test_what_is_made_to_do_harm_stays_within_the_memory_of_the_container(plant):
    """The longest message that is let in, of the kind that takes most memory to look at."""
    assert "--memory=640m" in options_of_readme()
    plant.broker.start()
    plant.store.start()
    plant.start_bridge()
    judge = Judge(plant.bucket())
    with plant.publisher(None) as stranger, plant.publisher(judge) as publisher:
        zeros = b"[" + b"0," * ((32 << 20) // 2 - 2) + b"0]"
        assert len(zeros) < 32 << 20
        stranger.send(Message("ia/rawImage/bad", zeros), within=60)
        publisher.send(picture())
        judge.assert_exactly_stored(within=60)
    wait_until(lambda: plant.dead_letters() == 1, 30, plant.bridge.log, poll=0.5)
    state = plant.bridge.state()
    assert (state["Running"], state["OOMKilled"]) == (True, False), state
