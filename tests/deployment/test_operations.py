"""docs/operations.md: each of its blocks is run, and does what the text around it says."""

import base64
import contextlib
import json
import os
import pathlib
import re
import shutil
import subprocess

import pytest
from harness import service, volumes
from harness.broker import Broker
from harness.judge import Judge
from harness.messages import Message, picture, pictures
from harness.ports import free_port
from harness.programs import REPOSITORY
from harness.publisher import Publisher
from harness.scripted_store import Answer, ScriptedStore
from harness.waiting import wait_until
from manifests import ChartTool, pod_of, values
from site_of_systemd import Site, executable_of, number_of_blocks, recipes

# Answers with what the cluster has, keeps what is to be made, and runs here what is to run in a pod.
KUBECTL = """#!/bin/sh
echo "$*" >> "$SITE/kubectl.log"
case "$1" in
  get) cat "$SITE/$2.json" ;;
  create) cat > "$SITE/created.json" ;;
  exec) shift 3; exec "$@" ;;
esac
"""
NOT_JSON = Message("ia/rawImage/station1/camera1", b"no JSON at all")


class Ground:
    """Where sites are: a broker, the store, a bucket and what must come to be in it."""

    def __init__(self, folder, store):
        self.folder = folder
        self.store = store
        self.broker = Broker(folder / "broker").start()
        self.bucket_name = store.new_bucket()
        self.bucket = store.bucket(self.bucket_name)
        self.judge = Judge(self.bucket)
        self._publishers = []

    def site(self, name="site", broker=None, wrapper=(), second_broker_port=0, **settings):
        return Site(
            self.folder / name,
            {
                "BROKER_URL": "127.0.0.1",
                "BROKER_PORT": (broker or self.broker).port,
                "TOPIC": "ia/rawImage/#",
                "MINIO_URL": self.store.address,
                "MINIO_SECURE": "False",
                "MINIO_ACCESS_KEY": self.store.access_key,
                "MINIO_SECRET_KEY": self.store.secret_key,
                "BUCKET_NAME": self.bucket_name,
            } | settings,
            wrapper,
            second_broker_port,
        )  # fmt: skip

    def started(self, *arguments, **options):
        site = self.site(*arguments, **options)
        assert site.systemctl("start", "mqtt-to-blob") == 0
        site.bridge.wait_until_subscribed()
        return site

    def send(self, *messages, broker=None):
        publisher = Publisher(broker or self.broker, self.judge)
        self._publishers.append(publisher)
        publisher.send(*messages)

    def close(self):
        for publisher in self._publishers:
            publisher.close()


@pytest.fixture
def ground(tmp_path, shared_store):
    point = service.checkpoint()
    ground = Ground(tmp_path, shared_store)
    yield ground
    ground.close()
    service.end_since(point)


def store_away():
    return {"MINIO_URL": f"127.0.0.1:{free_port()}"}


def store_back(ground, site):
    site.set(MINIO_URL=ground.store.address)
    assert site.systemctl("restart", "mqtt-to-blob") == 0


def waiting(site):
    return site.bridge.stat()["accounts"]["waiting"]


def test_every_block_of_the_document_is_run_here():
    named = {name for name in recipes() if name}
    assert len(named) == number_of_blocks(), "a block without a name, or one twice"
    assert named == set(re.findall(r'\.run\("([^"]+)"', pathlib.Path(__file__).read_text()))


def test_a_new_site_is_checked_and_tried(ground):
    site = ground.site()
    site.set(BROKER_PORT="none")
    assert "BROKER_PORT" in site.run("check", code=78)
    assert not site.bridge.running
    site.set(BROKER_PORT=ground.broker.port)
    said = site.run("check")
    assert "the configuration is valid" in said and said.endswith("ok\n")
    sample = REPOSITORY / "scripts" / "assets" / "sample.jpg"
    shutil.copy(sample, site.work / "picture.jpg")
    site.run("trial")
    (key,) = ground.bucket.etags()
    assert key.startswith("trial_")
    assert ground.bucket.read(key).size == sample.stat().st_size


@pytest.mark.parametrize("size", [1 << 10, 10 << 10, 100 << 10, 1 << 20])
def test_the_disk_that_a_picture_takes_is_as_told(ground, size):
    site = ground.started(**store_away())
    empty = site.bridge.spool_file_bytes()
    count = max(20, (8 << 20) // size)
    ground.send(*pictures(count, size=size))
    wait_until(lambda: waiting(site) == count, 30, "all of them wait")
    taken = site.bridge.spool_file_bytes() - empty
    told = count * (size * 1.34 + 5120)
    print(f"{taken / count / size:.3f} of {size}, told {told / count / size:.3f}")
    assert taken < told


def test_upgrade_and_downgrade(ground):
    site = ground.started(**store_away())
    old = (site.bin / "mqtt-to-blob").read_bytes()
    new = old + b"another version"
    (site.work / "mqtt-to-blob").write_bytes(new)
    (site.work / "mqtt-to-blob").chmod(0o755)
    ground.send(*pictures(5))
    wait_until(lambda: waiting(site) == 5, 10, "they wait")

    assert "mqtt-to-blob " in site.run("upgrade")
    assert executable_of(site.bridge) == new
    assert waiting(site) == 5

    store_back(ground, site)
    site.run("downgrade")
    assert executable_of(site.bridge) == old
    ground.judge.assert_exactly_stored()


@pytest.mark.parametrize("claim", ["of-the-set", "existing"])
def test_a_pod_for_the_tools_is_made_where_the_bridge_is_stopped(ground, claim):
    site = ground.site()
    (site.bin / "kubectl").write_text(KUBECTL)
    (site.bin / "kubectl").chmod(0o755)
    tool = ChartTool(ground.folder)
    given = {} if claim == "of-the-set" else {"persistence": {"existingClaim": claim}}
    given |= {"fullnameOverride": "mqtt-to-blob"}  # as the plain manifests have it
    objects = tool.objects(values(**given), ground.folder)
    (site.folder / "statefulset.json").write_text(json.dumps(objects["StatefulSet"]))
    assert site.systemctl("start", "mqtt-to-blob") == 0
    assert site.systemctl("stop", "mqtt-to-blob") == 0

    assert "0 messages of damaged files wait again" in site.run("tool-pod")
    name = objects["StatefulSet"]["metadata"]["name"]
    assert f"get statefulset {name} -o json" in (site.folder / "kubectl.log").read_text()
    # Kubernetes knows it, and it is the bridge's pod but for what it runs.
    (made,) = json.loads(tool("read", site.folder / "created.json").stdout)
    assert made["metadata"] == {"name": "mqtt-to-blob-tool"}, "no label that the Service selects"
    expected = pod_of(objects)
    (container,) = made["spec"]["containers"]
    (bridge,) = expected["containers"]
    probes = {"startupProbe", "livenessProbe", "readinessProbe"}
    assert container == {name: value for name, value in bridge.items() if name not in probes} | {
        "command": ["sleep", "infinity"]
    }
    assert made["spec"].keys() == expected.keys()
    volumes = {one["name"]: one for one in made["spec"]["volumes"]}
    assert {one["name"] for one in container["volumeMounts"]} == volumes.keys()
    # A StatefulSet names a claim after the template, itself and the number of the pod.
    claimed = f"spool-{name}-0" if claim == "of-the-set" else claim
    assert volumes["spool"]["persistentVolumeClaim"] == {"claimName": claimed}


def test_a_spool_moves_to_another_machine(ground):
    old = ground.started("old", **store_away())
    ground.send(*pictures(5), NOT_JSON)
    wait_until(lambda: waiting(old) == 5, 10, "they wait")
    old.run("move-from")
    assert not old.bridge.running
    ground.send(*pictures(3))  # the broker keeps them for the one that comes

    new = ground.site("new")
    shutil.copy(old.work / "spool.tar", new.work)
    new.run("move-to")
    ground.judge.assert_exactly_stored()
    accounts = new.bridge.stat()["accounts"]
    assert (accounts["received"], accounts["dead_lettered"]) == (9, 1)
    assert len({client for client, _, _ in ground.broker.subscriptions()}) == 1
    assert "no session" not in new.bridge.log_text()


def test_a_full_disk_goes_by_without_a_loss(ground):
    site = ground.site(**store_away())
    site.spool.mkdir(mode=0o700)
    site.bridge.wrapper = volumes.on_tmpfs(site.spool, "48m")
    assert site.systemctl("start", "mqtt-to-blob") == 0
    site.bridge.wait_until_subscribed()
    site.inside = ["nsenter", "-t", str(site.bridge.pid), "-m", f"--wd={site.work}"]
    filler = site.spool / "of-somebody-else"

    def as_seen_there(command):
        subprocess.run([*site.inside, "sh", "-c", command], check=True)

    as_seen_there(f"head -c 30M /dev/zero > {filler}")
    ground.send(*pictures(250, size=60_000))
    site.bridge.wait_until_it_takes_no_more(250)
    said = site.run("full")
    assert "Disk full" in said and "SPOOL_MIN_FREE_BYTES" in said
    assert re.search(r"^tmpfs +48M", said, re.MULTILINE), said
    assert re.search(r"^waiting +\d+", said, re.MULTILINE), said
    as_seen_there(f"rm {filler}")
    site.run("full-again")
    site.bridge.wait_until_acknowledged(250)


def test_a_new_key_is_taken_and_the_log_tells_of_the_old_one(ground):
    site = ground.started(MINIO_SECRET_KEY="of last year")
    ground.send(*pictures(5))
    wait_until(lambda: "store refuses us" in site.bridge.log_text(), 10, "it is refused")
    said = site.run("log")
    assert re.search(r"^\S+ ERROR +\S+: store refuses us.*SignatureDoesNotMatch", said, re.M), said
    (site.work / "new-secret-key").write_text(ground.store.secret_key)
    site.run("keys")
    ground.judge.assert_exactly_stored()


def test_what_is_refused_while_others_flow_is_named(ground):
    denied = Answer(403, "AccessDenied")
    with contextlib.closing(ScriptedStore().start()) as store:
        keys = {"MINIO_ACCESS_KEY": store.access_key, "MINIO_SECRET_KEY": store.secret_key}
        site = ground.started(MINIO_URL=store.address, **keys)
        with store.saying(lambda request: denied if request.key.startswith("cam2/") else None):
            ground.send(*(picture(f"cam{number % 2 + 1}/{number}") for number in range(20)))
            wait_until(lambda: waiting(site) == 10, 20, "the others are stored")
            said = site.run("refused")
            assert "pictures under cam2/ are refused" in said, said
            assert f"s3:PutObject on arn:aws:s3:::{ground.bucket_name}/cam2/*" in said, said
        wait_until(lambda: waiting(site) == 0, 20, "they leave by themselves")


def test_a_spool_is_encrypted_gets_other_keys_and_none(ground):
    site = ground.started(**store_away())
    site.give_spool_key()
    site.run("encrypt")
    assert (site.etc / "spool-key").stat().st_mode & 0o777 == 0o600
    ground.send(*pictures(5))
    site.bridge.wait_until_acknowledged(5)
    said = site.run("new-spool-key")
    assert re.search(r"^5 are encrypted with key [0-9a-f]{8}$", said, re.M), said
    ground.send(*pictures(5))
    site.bridge.wait_until_acknowledged(5)
    site.run("no-spool-key")
    ground.send(*pictures(5))
    store_back(ground, site)
    ground.judge.assert_exactly_stored()


def test_a_lost_key_costs_what_it_encrypted_and_no_more(ground):
    site = ground.started(**store_away())
    site.give_spool_key()
    site.run("encrypt")
    lost = Publisher(ground.broker, None)
    lost.send(*pictures(5))
    site.bridge.wait_until_acknowledged(5)
    lost.close()
    (site.etc / "spool-key").write_text(base64.b64encode(os.urandom(32)).decode() + "\n")
    store_back(ground, site)
    ground.send(*pictures(5))
    site.bridge.wait_until_acknowledged(5)
    wait_until(lambda: site.bridge.metric("spool_key_missing") == 1, 10, "the key is missed")
    assert waiting(site) == 10
    site.run("lost-spool-key")
    ground.judge.assert_exactly_stored()
    assert site.bridge.dead_letters() == {"key_lost": 5}


def test_the_broker_moves(ground):
    second = Broker(ground.folder / "second").start()
    site = ground.started(second_broker_port=second.port)
    site.run("broker-before")
    site.bridge.wait_until_subscribed()
    ground.send(*pictures(5))
    ground.judge.assert_exactly_stored()
    ground.send(*pictures(5), broker=second)  # the cameras are there already
    site.run("broker")
    ground.judge.assert_exactly_stored()
    assert site.settings()["BROKER_PORT"] == str(second.port)


def test_dead_letters_are_read_replayed_and_dropped(ground):
    site = ground.started(MAX_MESSAGE_BYTES="50KiB")
    large = picture(size=60_000)
    ground.send(large, NOT_JSON)
    wait_until(lambda: site.bridge.metric("dead_letters") == 2, 10, "two dead letters")
    said = site.run("letters")
    assert re.search(r"^reason +too_large$", said, re.MULTILINE), said
    assert (site.work / "message.json").read_bytes() == large.payload
    site.run("replay")
    ground.judge.assert_exactly_stored()
    site.run("drop")
    (about,) = map(json.loads, (site.work / "proof" / "index.jsonl").read_text().splitlines())
    assert (site.work / "proof" / about["file"]).read_bytes() == NOT_JSON.payload
    assert site.bridge.stat()["accounts"]["dead_lettered"] == 0


def test_what_is_backed_up_can_be_put_back(ground):
    lost = ground.started("lost", **store_away())
    ground.send(*pictures(5), *pictures(2, topic="ia/rawImage/hall 2/with blank"), NOT_JSON)
    wait_until(lambda: lost.bridge.metric("dead_letters") == 1, 10, "a dead letter")
    lost.run("backup")
    assert len(list((lost.work / "letters").iterdir())) == 2
    lost.bridge.kill()
    shutil.rmtree(lost.spool)

    other = ground.started("other", broker=Broker(ground.folder / "other-broker").start())
    shutil.copytree(lost.work / "copy", other.work / "copy")
    other.run("restore")
    ground.judge.assert_exactly_stored()


def test_a_damaged_file_is_looked_at_and_put_away(ground):
    site = ground.started(**store_away(), MQTT_GROUP_COMMIT="False")
    ground.send(*pictures(5, size=30_000))
    wait_until(lambda: waiting(site) == 5, 10, "they wait")
    site.bridge.kill()
    with open(site.spool / "records" / "data.mdb", "r+b") as file:
        file.seek(4096 + 16)  # a meta page, which is not what LMDB would notice
        byte = file.read(1)
        file.seek(4096 + 16)
        file.write(bytes([byte[0] ^ 1]))
    assert site.systemctl("start", "mqtt-to-blob") == 0
    assert "was damaged" in site.bridge.log_text()
    assert re.search(r"records-\d{4}", site.run("damage"))
    assert site.run("repair")
    site.run("tidy")
    assert not (site.spool / "set-aside").exists()
    store_back(ground, site)
    ground.judge.assert_exactly_stored()
