"""`mqtt-to-blob --check --connect`: what an integrator runs on site. Each fault is found in the step
that it belongs to, with its remedy, within seconds; and nothing is left behind."""

import base64
import contextlib
import glob
import hashlib
import json
import os
import re
import signal
import socket
import subprocess
import time

import pytest

from harness.broker import Broker
from harness.certificates import Authority
from harness.connect_proxy import ConnectProxy
from harness.impostor import Impostor, answer
from harness.messages import pictures
from harness.minio_users import MinioUser
from harness.ports import free_port
from harness.proxy import OldBrokerProxy, SilentServer
from harness.store import Store
from harness.volumes import require_root
from harness.waiting import wait_until

PASSED, FAILED, WARNED, INTERRUPTED = 0, 1, 2, 130
MOST_SECONDS = 35  # the check's own limit is 30 s; a busy machine may add to it
DYNAMIC_SECURITY = "/usr/lib/*/mosquitto_dynamic_security.so"


class Check:
    """One run of it."""

    def __init__(self, bridge, *arguments, **settings):
        began = time.monotonic()
        done = bridge.run("--check", "--connect", "--json", *arguments, within=60, **settings)
        self.seconds = time.monotonic() - began
        self.code = done.returncode
        self.said = done.stdout + done.stderr
        self.steps = [json.loads(line) for line in done.stdout.splitlines()]
        assert self.seconds < MOST_SECONDS, self.said

    def outcomes(self, prefix=""):
        return {s["name"]: s["outcome"] for s in self.steps if s["name"].startswith(prefix)}

    def step(self, name):
        (found,) = [step for step in self.steps if step["name"] == name]
        return found

    def assert_failed(self, name, *seen, remedy):
        """In this step and in no other; with its words."""
        step = self.step(name)
        assert [s["name"] for s in self.steps if s["outcome"] == "failed"] == [name], self.said
        assert self.code == FAILED
        for text in seen:
            assert text in step["seen"], self.said
        assert remedy in step["remedy"], self.said
        return step


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def https_store(tmp_path_factory, minio, authority):
    store = Store(tmp_path_factory.mktemp("https"), minio, "https-store", authority=authority)
    store.start()
    yield store
    store.end()


@pytest.fixture
def stack(new_stack):
    """Broker and store run, the bucket is there, and no bridge runs."""
    stack = new_stack()
    stack.broker.start()
    stack.bucket.create()
    return stack


# Nothing is wrong.


@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_all_is_well_and_nothing_stays_behind(stack, version):
    check = Check(stack.bridge, "--write", MQTT_VERSION=version, MQTT_CLIENT_ID="plant-7")
    assert check.code == PASSED, check.said
    assert check.outcomes() == {
        name: "ok"
        for name in [
            "settings", "spool.folder", "spool.space",
            "broker.name", "broker.tcp", "broker.login", "broker.subscribe",
            "store.proxy", "store.name", "store.tcp", "store.answer", "store.clock", "store.key",
            "store.region", "store.bucket", "store.write", "store.read", "store.remove",
        ]
    }  # fmt: skip
    assert stack.bucket.etags() == {}
    assert not stack.bridge.spool_dir.exists()
    # A clean session (c1), under an id of its own, that the client itself has ended.
    protocol = "p5" if version == "5" else "p2"
    wait_until(
        lambda: re.search(r"Client plant-7-check-[0-9a-f]{8} disconnected", stack.broker.log_text()),
        10,
        stack.broker.log_text,
    )
    assert re.search(
        rf"as plant-7-check-[0-9a-f]{{8}} \({protocol}, c1,", stack.broker.log_text()
    ), stack.broker.log_text()


def test_without_write_nothing_is_written(new_stack):
    stack = new_stack()
    stack.broker.start()
    check = Check(stack.bridge)
    assert check.code == WARNED, check.said
    assert not stack.bucket.exists()
    assert check.step("store.bucket")["outcome"] == "warning"
    assert "does not exist" in check.step("store.bucket")["seen"]
    assert check.step("store.write")["outcome"] == "skipped"
    assert "--write" in check.step("store.write")["remedy"]


def test_for_a_person_each_step_is_a_line_with_its_remedy(stack):
    done = stack.bridge.run("--check", "--connect", within=60, BROKER_PORT=free_port())
    assert done.returncode == FAILED
    lines = done.stdout.splitlines()
    assert lines[0] == "ok       settings          the configuration is valid"
    (failed,) = [i for i, line in enumerate(lines) if line.startswith("failed   broker.tcp ")]
    assert lines[failed + 1].startswith("           remedy:         Nothing listens there: correct B")
    assert lines[-1].startswith("the check failed: ")
    assert done.stderr == ""


@pytest.mark.parametrize("topic", ["ia/rawImage/#", "$share/plant/ia/rawImage/#"])
@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_a_running_bridge_is_not_disturbed(new_stack, topic, version):
    stack = new_stack(TOPIC=topic, MQTT_VERSION=version, MQTT_CLIENT_ID="plant-7")
    stack.start()
    mark = stack.broker.mark()
    stream = stack.stream(pictures(200), per_second=100)
    checks = [Check(stack.bridge, "--write") for _ in range(2)]
    stream.finish()
    stack.assert_exactly_stored()
    assert [check.code for check in checks] == [PASSED, PASSED], checks[0].said
    # The bridge's own session goes on, and its group has no other member.
    said = stack.broker.said_since(mark)
    assert "plant-7 " not in said and "already connected" not in said, said
    subscribed = stack.broker.subscriptions(mark)
    assert len(subscribed) == 2
    if topic.startswith("$share/"):
        for client, _, topic_filter in subscribed:
            number = client.rsplit("-", 1)[1]
            assert topic_filter == f"$share/mqtt-to-blob-check-{number}/ia/rawImage/#"


def test_a_broker_that_knows_no_5_is_asked_again(stack):
    with OldBrokerProxy(stack.broker) as proxy:
        check = Check(stack.bridge, BROKER_PORT=proxy.port)
    assert "MQTT 3.1.1" in check.step("broker.login")["seen"], check.said
    assert check.code == PASSED


# The broker.


def test_a_wrong_port_of_the_broker(stack):
    port = free_port()
    Check(stack.bridge, BROKER_PORT=port).assert_failed(
        "broker.tcp", f"127.0.0.1:{port}: Connection refused", remedy="BROKER_PORT"
    )


def test_the_port_of_another_service(stack):
    Check(stack.bridge, BROKER_PORT=stack.store.port).assert_failed(
        "broker.login", "does not answer as an MQTT broker", remedy="BROKER_PORT"
    )


def test_tls_on_the_plain_port_of_the_broker(stack, authority):
    Check(
        stack.bridge, MQTT_TRANSPORT="tls", MQTT_CA_FILE=authority.certificate
    ).assert_failed("broker.tls", "speaks MQTT without TLS", remedy="MQTT_TRANSPORT=tcp")


def test_no_tls_on_the_tls_port_of_the_broker(new_stack, authority):
    stack = new_stack()
    port = stack.broker.listen(identity=authority.issue("broker"))
    stack.broker.start()
    stack.bucket.create()
    Check(stack.bridge, BROKER_PORT=port).assert_failed(
        "broker.login", f"port {port} speaks TLS", remedy="MQTT_TRANSPORT=tls"
    )


def test_tls_and_a_certificate_that_is_not_trusted(new_stack, authority, tmp_path):
    stack = new_stack()
    port = stack.broker.listen(identity=authority.issue("broker"))
    stack.broker.start()
    stack.bucket.create()
    settings = {"BROKER_PORT": port, "MQTT_TRANSPORT": "tls"}
    right = Check(stack.bridge, **settings, MQTT_CA_FILE=authority.certificate)
    assert right.code == PASSED, right.said
    assert right.step("broker.tls")["outcome"] == "ok"
    stranger = Authority(tmp_path / "stranger", "stranger")
    Check(stack.bridge, **settings, MQTT_CA_FILE=stranger.certificate).assert_failed(
        "broker.tls", "certificate", remedy="MQTT_CA_FILE"
    )


@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_a_wrong_password_of_the_broker(new_stack, version):
    stack = new_stack(MQTT_VERSION=version, MQTT_USERNAME="camera")
    stack.broker.allow_only("camera", "right")
    stack.broker.start()
    stack.bucket.create()
    assert Check(stack.bridge, MQTT_PASSWORD="right").code == PASSED
    wrong = Check(stack.bridge, MQTT_PASSWORD="wrong-7f3a")
    step = wrong.assert_failed("broker.login", "not authorised", remedy="MQTT_PASSWORD")
    assert "-check-" in step["remedy"]  # some brokers say the same of a client id
    assert "wrong-7f3a" not in wrong.said


@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_a_refused_filter(new_stack, tmp_path, version):
    stack = new_stack(
        TOPIC="ia/ok/#,ia/no/#,$share/plant/ia/ok/#,$share/plant/ia/no/#",
        MQTT_VERSION=version, MQTT_USERNAME=""
    )
    stack.broker = RestrictedBroker(tmp_path / "restricted", "ia/ok/#")
    stack.broker.start()
    stack.bucket.create()
    check = Check(stack.bridge, BROKER_PORT=stack.broker.port)
    assert check.code == FAILED
    steps = [s for s in check.steps if s["name"] == "broker.subscribe"]
    assert [s["outcome"] for s in steps] == ["ok", "failed", "warning", "warning"], check.said
    assert "ia/no/#" in steps[1]["seen"]
    assert "access rules" in steps[1]["remedy"]
    # This broker's rules name the group, and the check is in none that they could name.
    assert "grants ia/ok/# alone" in steps[2]["seen"]
    assert "not known" in steps[3]["seen"]


class RestrictedBroker(Broker):
    """A mosquitto that grants nobody's subscriptions but this one (its acl_file grants all)."""

    def __init__(self, folder, allowed):
        super().__init__(folder)
        plugins = glob.glob(DYNAMIC_SECURITY)
        assert plugins, "mosquitto's dynamic security plugin is missing"
        self._plugin = plugins[0]
        salt = os.urandom(12)
        password = hashlib.pbkdf2_hmac("sha512", b"unused", salt, 101)
        access = [
            {"acltype": kind, "topic": allowed, "priority": 0, "allow": True}
            for kind in ("subscribePattern", "publishClientReceive")
        ]
        (folder / "security.json").write_text(
            json.dumps(
                {
                    "defaultACLAccess": {
                        "publishClientSend": False,
                        "publishClientReceive": True,
                        "subscribe": False,
                        "unsubscribe": True,
                    },
                    "clients": [
                        {
                            "username": "admin",
                            "password": base64.b64encode(password).decode(),
                            "salt": base64.b64encode(salt).decode(),
                            "iterations": 101,
                            "roles": [],
                        }
                    ],
                    "groups": [{"groupname": "all", "roles": [{"rolename": "some"}]}],
                    "roles": [{"rolename": "some", "acls": access}],
                    "anonymousGroup": "all",
                }
            )
        )

    def _write_config(self):
        super()._write_config()
        with open(self._config, "a") as config:
            config.write(
                f"plugin {self._plugin}\nplugin_opt_config_file {self.folder}/security.json\n"
            )


def test_a_broker_that_never_answers_is_given_up(stack):
    with SilentServer() as silent:
        check = Check(stack.bridge, BROKER_PORT=silent.port)
    check.assert_failed("broker.login", "does not answer as an MQTT broker", remedy="BROKER_PORT")
    assert check.outcomes()["broker.subscribe"] == "skipped"
    assert check.outcomes()["store.bucket"] == "ok"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_can_be_interrupted(stack, number):
    with SilentServer() as silent:
        bridge = stack.bridge
        bridge.settings |= {"BROKER_PORT": silent.port}
        running = subprocess.Popen(
            [bridge.binary, "--check", "--connect"],
            env=bridge.environment(), stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            wait_until(lambda: silent.connections >= 2, 20, "it waits for CONNACK")
            began = time.monotonic()
            running.send_signal(number)
            said, _ = running.communicate(timeout=10)
        finally:
            running.kill()
    assert running.returncode == INTERRUPTED, said
    assert time.monotonic() - began < 7
    assert said.splitlines()[-1] == "interrupted"


def test_names_that_cannot_be_resolved(stack):
    check = Check(stack.bridge, BROKER_URL="no-such.invalid", MINIO_URL="none.invalid:9000")
    assert check.code == FAILED
    for name, host, setting in [
        ("broker.name", "no-such.invalid", "BROKER_URL"),
        ("store.name", "none.invalid", "MINIO_URL"),
    ]:
        step = check.step(name)
        assert step["outcome"] == "failed", check.said
        assert f"the name {host} cannot be resolved" in step["seen"]
        assert setting in step["remedy"]
    assert check.outcomes("broker.")["broker.login"] == "skipped"
    assert check.outcomes("store.")["store.bucket"] == "skipped"


def test_a_name_server_that_never_answers_is_given_up(stack, tmp_path):
    """The look-up cannot be ended: its step is, and the process with it."""
    require_root()
    (tmp_path / "resolv.conf").write_text("nameserver 127.77.0.53\noptions attempts:5\n")
    mount = f"mount --bind {tmp_path}/resolv.conf /etc/resolv.conf"
    bridge = stack.bridge
    bridge.settings["BROKER_URL"] = "broker.plant.example"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.77.0.53", 53))
        began = time.monotonic()
        done = subprocess.run(
            ["unshare", "-m", "sh", "-c", f'{mount} && exec "$@"', "sh",
             bridge.binary, "--check", "--connect", "--json"],
            env=bridge.environment(), capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        seconds = time.monotonic() - began
    steps = {s["name"]: s for s in map(json.loads, done.stdout.splitlines())}
    assert done.returncode == FAILED, done
    assert steps["broker.name"]["seen"] == "no result within 6 s"
    assert "name server" in steps["broker.name"]["remedy"]
    assert steps["store.bucket"]["outcome"] == "ok"
    assert 6 <= seconds < 20  # the look-up alone takes 25 s and more


# The store.


def test_a_wrong_port_of_the_store(stack):
    port = free_port()
    Check(stack.bridge, MINIO_URL=f"127.0.0.1:{port}").assert_failed(
        "store.tcp", f"127.0.0.1:{port}: Connection refused", remedy="MINIO_URL"
    )


def test_tls_on_the_plain_port_of_the_store(stack):
    Check(stack.bridge, MINIO_SECURE="True").assert_failed(
        "store.tls", "speaks no TLS", remedy="MINIO_SECURE=False"
    )


def test_no_tls_on_the_tls_port_of_the_store(new_stack, https_store):
    stack = new_stack(store=https_store)
    stack.broker.start()
    Check(stack.bridge).assert_failed("store.answer", "speaks TLS", remedy="MINIO_SECURE=True")


def test_a_login_page_in_place_of_the_store(stack):
    page = answer(200, b"<html><body>Please log in</body></html>", Content_Type="text/html")
    with Impostor(stack.store.port) as impostor, impostor.saying(lambda _: page):
        check = Check(stack.bridge, "--write", MINIO_URL=f"127.0.0.1:{impostor.port}")
        assert impostor.uploads == 0
    check.assert_failed("store.answer", "is no S3 store", remedy="MINIO_URL")


@pytest.mark.parametrize(
    "setting, seen, remedy",
    [
        ("MINIO_ACCESS_KEY", "does not know the access key", "MINIO_ACCESS_KEY"),
        ("MINIO_SECRET_KEY", "the secret key is not the one", "MINIO_SECRET_KEY"),
    ],
)
def test_a_wrong_key(stack, setting, seen, remedy):
    check = Check(stack.bridge, "--write", **{setting: "wrong-4e1c"})
    check.assert_failed("store.key", seen, remedy=remedy)
    assert "wrong-4e1c" not in check.said
    assert check.outcomes()["store.write"] == "skipped"


def test_a_wrong_region(new_stack, tmp_path, minio):
    store = RegionalStore(tmp_path / "regional", minio)
    store.start()
    stack = new_stack(store=store)
    stack.broker.start()
    check = Check(stack.bridge, "--write", S3_REGION="us-east-1")
    check.assert_failed("store.region", "eu-west-1", remedy="S3_REGION")
    assert check.outcomes()["store.key"] == "ok"
    right = Check(stack.bridge, "--write", S3_REGION="eu-west-1")
    assert right.code == PASSED, right.said
    store.end()


class RegionalStore(Store):
    def environment(self):
        return super().environment() | {"MINIO_SITE_REGION": "eu-west-1"}


def test_a_key_that_may_only_write_is_no_fault(stack):
    key, secret = "writer-of-check", "secret-of-writer"
    MinioUser(stack.store, key, secret, (["s3:PutObject"], [f"{stack.bucket_name}/*"]))
    settings = {"MINIO_ACCESS_KEY": key, "MINIO_SECRET_KEY": secret}
    asked = Check(stack.bridge, **settings)
    assert asked.code == PASSED, asked.said
    assert asked.step("store.bucket")["outcome"] == "skipped"
    assert "s3:GetBucketLocation" in asked.step("store.bucket")["seen"]
    written = Check(stack.bridge, "--write", **settings)
    assert written.code == PASSED, written.said
    assert written.step("store.write")["outcome"] == "ok"
    assert "s3:GetObject" in written.step("store.read")["seen"]
    # What may not be removed is named.
    (stays,) = stack.bucket.etags()
    assert re.fullmatch(r"mqtt-to-blob-check/[0-9a-f]{16}", stays)
    assert written.step("store.remove")["outcome"] == "skipped"
    assert f"{stays} stays in the bucket {stack.bucket_name}" in written.step("store.remove")["seen"]


def test_a_key_that_may_not_write(stack):
    key, secret = "reader-of-check", "secret-of-reader"
    MinioUser(
        stack.store, key, secret,
        (["s3:GetObject"], [f"{stack.bucket_name}/*"]),
        (["s3:GetBucketLocation", "s3:ListBucket"], [stack.bucket_name]),
    )  # fmt: skip
    check = Check(stack.bridge, "--write", MINIO_ACCESS_KEY=key, MINIO_SECRET_KEY=secret)
    check.assert_failed("store.write", "may not write", remedy="s3:PutObject")
    assert check.outcomes()["store.bucket"] == "ok"


@pytest.mark.parametrize("days", ["+1d", "-1d"])
def test_a_clock_that_is_a_day_off(stack, days):
    libraries = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
    assert libraries, "libfaketime is missing: scripts/install-deps test"
    check = Check(
        stack.bridge, "--write",
        LD_PRELOAD=libraries[0], FAKETIME=days, DONT_FAKE_MONOTONIC="1",
    )  # fmt: skip
    assert check.code == WARNED, check.said
    step = check.step("store.clock")
    assert step["outcome"] == "warning"
    times = re.findall(r"(\d{4}-\d\d-\d\d) \d\d:\d\d:\d\d UTC", step["seen"])
    assert len(set(times)) == 2, step
    assert "NTP" in step["remedy"]
    assert check.step("store.write")["outcome"] == "ok"  # signed with the store's time


# A proxy between here and the store.


@pytest.fixture
def behind_proxy(new_stack, https_store, authority):
    stack = new_stack(store=https_store)
    stack.broker.start()
    stack.bucket.create()

    @contextlib.contextmanager
    def make(**options):
        with ConnectProxy(**options) as proxy:
            settings = {"MINIO_SECURE": "True", "STORE_CA_FILE": authority.certificate}
            yield proxy, lambda *arguments, **more: Check(
                stack.bridge, *arguments, https_proxy=proxy.url, **settings, **more
            )

    return make


def test_a_proxy_that_lets_us_through_is_named(behind_proxy):
    with behind_proxy() as (proxy, run):
        check = run("--write")
        assert check.code == PASSED, check.said
        seen = check.step("store.proxy")["seen"]
        assert f"127.0.0.1:{proxy.port} (https_proxy)" in seen
        assert set(line.split()[0] for line in proxy.requests) == {"CONNECT"}


@pytest.mark.parametrize(
    "status, seen, remedy",
    [(407, "wants a user name and a password", "https_proxy"), (403, "does not connect", "CONNECT")],
)
def test_a_proxy_that_refuses(behind_proxy, status, seen, remedy):
    with behind_proxy(refuses_with=status) as (_, run):
        run().assert_failed("store.answer", seen, f"HTTP {status}", remedy=remedy)


def test_a_proxy_that_is_not_used(behind_proxy):
    with behind_proxy() as (proxy, run):
        check = run(no_proxy="127.0.0.1")
        assert check.code == PASSED, check.said
        assert check.step("store.proxy")["seen"] == "none is used"
        assert proxy.requests == []


def test_a_proxy_that_is_not_there(stack):
    port = free_port()
    login = f"user:canary-8d2e@127.0.0.1:{port}"
    check = Check(stack.bridge, http_proxy=f"http://{login}")
    check.assert_failed("store.proxy", f"127.0.0.1:{port} (http_proxy, with login)",
                        remedy="no_proxy")  # fmt: skip
    assert "canary-8d2e" not in check.said


# The command line.


@pytest.mark.parametrize("arguments", [["--connect"], ["--check", "--write"], ["--check", "--json"]])
def test_flags_that_do_not_belong_together(new_stack, arguments):
    done = new_stack().bridge.run(*arguments)
    assert done.returncode == 64
    assert "belongs to" in done.stderr


def test_wrong_settings_are_told_before_anything_is_called(new_stack):
    done = new_stack().bridge.run("--check", "--connect", BROKER_PORT="70000")
    assert done.returncode == 78
    assert "BROKER_PORT" in done.stderr and done.stdout == ""
