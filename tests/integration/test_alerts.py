"""deploy/prometheus: each alarm fires and clears, against a real Prometheus and a real daemon."""

import base64
import contextlib
import glob
import re

import pytest

from harness.certificates import Authority
from harness.messages import Message, picture, pictures
from harness.programs import REPOSITORY
from harness.prometheus import RULES, Prometheus, promtool
from harness.scripted_store import Answer, ScriptedStore
from harness.volumes import Injection
from harness.waiting import wait_until

ALARM = re.compile(r"- alert: (\w+)")


@pytest.fixture
def watch(tmp_path):
    """Prometheus, which has seen the bridge of a stack."""

    def start(stack):
        prometheus = Prometheus(tmp_path / "prometheus", stack.bridge).start()
        wait_until(lambda: prometheus.has_seen(stack.bridge), 15, "Prometheus has seen it")
        return prometheus

    return start


@pytest.fixture
def watched(new_stack, watch):
    """A stack that Prometheus watches; settings of the bridge by name."""

    def start(**settings):
        stack = new_stack(own_store=True, RETRY_MAX_DELAY="500ms", **settings).start()
        return stack, watch(stack)

    return start


def restart(bridge, **settings):
    bridge.stop()
    bridge.settings |= settings
    bridge.start()


def clock_behind(hours):
    """Settings by which a process sees another time of day."""
    libraries = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
    assert libraries, "libfaketime is missing: scripts/install-deps test"
    return {
        "LD_PRELOAD": libraries[0], "FAKETIME": f"-{hours}h", "DONT_FAKE_MONOTONIC": "1",
    }  # fmt: skip


RIGHT_CLOCK = {"LD_PRELOAD": None, "FAKETIME": None, "DONT_FAKE_MONOTONIC": None}


def test_the_alarms_of_broker_messages_and_process(watched):
    stack, prometheus = watched()
    prometheus.wait_until_firing("NoPictures")
    stack.publisher.send(picture())
    prometheus.wait_until_clear("NoPictures")
    stack.assert_exactly_stored()

    stack.publisher.send(Message("ia/rawImage/a/b", b"no"))
    prometheus.wait_until_firing("DeadLetters")
    assert stack.bridge.run("dead-letter", "drop", "--all", "--yes").returncode == 0
    prometheus.wait_until_clear("DeadLetters")

    stack.broker.stop()
    prometheus.wait_until_firing("NotSubscribed")
    (stack.broker.folder / "mosquitto.db").unlink()
    stack.broker.start()
    prometheus.wait_until_clear("NotSubscribed")
    prometheus.wait_until_firing("SessionLost")

    for connects in range(3, 8):
        stack.broker.stop()
        stack.broker.start()
        wait_until(lambda: stack.bridge.total("broker_connects_total") >= connects, 15, "it is back")
    prometheus.wait_until_firing("Unsteady")

    stack.bridge.kill()
    prometheus.wait_until_firing("Down")
    stack.bridge.start()
    prometheus.wait_until_clear("Down")
    for _ in range(5):
        starts = stack.bridge.metrics().value("process_start_time_seconds")
        stack.bridge.kill()
        stack.bridge.start()
        assert stack.bridge.metrics().value("process_start_time_seconds") > starts
        wait_until(lambda: prometheus.has_seen(stack.bridge), 5, "Prometheus has seen this one")
    prometheus.wait_until_firing("Restarts")

    stack.bridge.stop()
    pages = stack.bridge.spool_dir / "records" / "data.mdb"
    pages.write_bytes(b"rubbish" + pages.read_bytes()[7:])
    stack.bridge.start()
    prometheus.wait_until_firing("FilesSetAside")
    for folder in (stack.bridge.spool_dir / "set-aside").iterdir():
        folder.rename(stack.folder / folder.name)
    stack.publisher.send(picture())  # or NoPictures would come again
    prometheus.wait_until_clear()


def test_the_alarms_of_store_and_spool(watched):
    stack, prometheus = watched(SPOOL_MAX_BYTES="4MiB")
    stack.publisher.send(picture())
    stack.assert_exactly_stored()
    stack.store.stop()
    stack.publisher.send(picture())
    prometheus.wait_until_firing("StoreAway")
    stack.store.lock_out()
    stack.store.start()
    prometheus.wait_until_firing("StoreRefuses")
    prometheus.wait_until_clear("StoreAway")
    stack.store.stop()
    stack.store.let_in()
    stack.store.start()
    stack.assert_exactly_stored()
    prometheus.wait_until_clear("StoreRefuses")

    restart(stack.bridge, **clock_behind(hours=2))
    prometheus.wait_until_firing("ClockWrong")
    stack.store.stop()
    stack.publisher.send(picture())
    stack.bridge.wait_until_acknowledged(1)
    restart(stack.bridge, **RIGHT_CLOCK)
    prometheus.wait_until_clear("ClockWrong")
    prometheus.wait_until_firing("PicturesLate")
    stream = stack.stream(pictures(400, size=12_000), per_second=60)
    prometheus.wait_until_firing("SpoolFullSoon")
    prometheus.wait_until_firing("SpoolAlmostFull", "IntakeClosed")
    stack.store.start()
    stream.finish()
    stack.assert_exactly_stored(within=30)
    prometheus.wait_until_clear("SpoolFullSoon", "SpoolAlmostFull", "IntakeClosed", "PicturesLate")

    restart(stack.bridge, UPLOAD_BANDWIDTH_LIMIT="20KiB")
    wait_until(lambda: prometheus.has_seen(stack.bridge), 15, "Prometheus has seen this one")
    stack.publisher.send(*pictures(150))
    prometheus.wait_until_firing("BacklogGrows")
    restart(stack.bridge, UPLOAD_BANDWIDTH_LIMIT=None)
    stack.assert_exactly_stored(within=30)
    stack.publisher.send(picture())  # or NoPictures would come
    prometheus.wait_until_clear()


def test_the_alert_of_objects_that_are_refused_while_others_flow(new_stack, watch):
    with contextlib.closing(ScriptedStore().start()) as store:
        stack = new_stack(store=store, RETRY_MAX_DELAY="500ms", UPLOAD_BATCHES="False").start()
        prometheus = watch(stack)
        denied = Answer(403, "AccessDenied")
        with store.saying(lambda request: denied if request.key.startswith("cam2/") else None):
            for number in range(10):
                stack.publisher.send(picture(f"cam2/{number}"), picture(f"cam1/{number}"))
            prometheus.wait_until_firing("ObjectsRefused")
        stack.assert_exactly_stored()
        stack.publisher.send(picture())  # or NoPictures would come
        prometheus.wait_until_clear("ObjectsRefused")


def test_the_alarm_of_a_missing_key(watched):
    keys = [base64.b64encode(bytes([number] * 32)).decode() for number in range(2)]
    stack, prometheus = watched(SPOOL_KEY=keys[0])
    stack.store.stop()
    stack.publisher.send(picture())
    stack.bridge.wait_until_acknowledged(1)
    restart(stack.bridge, SPOOL_KEY=keys[1])
    prometheus.wait_until_firing("KeyMissing")
    stack.store.start()
    restart(stack.bridge, SPOOL_KEY="\n".join(keys))
    prometheus.wait_until_clear("KeyMissing")


def test_the_alarms_of_a_disk_that_fails(watched):
    """They clear by themselves once it takes what is written, and nothing is lost meanwhile."""
    stack, prometheus = watched()
    life = stack.bridge.pid
    with Injection(life, {"fdatasync": "error=EIO"}):
        stack.publisher.publish(picture())
        prometheus.wait_until_firing("DiskBroken", "IntakeClosed")
        assert stack.bridge.metric("spool_intake_state", state="disk_error") == 1
        assert stack.bridge.total("messages_acknowledged_total") == 0
    prometheus.wait_until_clear("DiskBroken", "IntakeClosed")
    stack.assert_exactly_stored()
    assert stack.bridge.running and stack.bridge.pid == life


def test_the_alert_of_a_write_that_does_not_end(watched):
    stack, prometheus = watched()
    with Injection(stack.bridge.pid, {"fdatasync": "delay_enter=45000000:when=1"}):
        stack.publisher.publish(picture())
        prometheus.wait_until_firing("StandsStill", within=60)
        warning = next(w for w in stack.bridge.status()["warnings"] if w["id"] == "thread_stuck")
        assert "spool-writer" in warning["title"]
        assert "broker_silent" not in [w["id"] for w in stack.bridge.status()["warnings"]]
        prometheus.wait_until_clear("StandsStill", within=40)
    stack.assert_exactly_stored()


def test_the_alarm_of_a_certificate_that_ends(new_stack, watch, tmp_path):
    authority = Authority(tmp_path / "authority")
    own = authority.issue("bridge", hours=(-1, 48))
    stack = new_stack(
        MQTT_TRANSPORT="tls", MQTT_CA_FILE=authority.certificate,
        MQTT_CERT_FILE=own.certificate, MQTT_KEY_FILE=own.key,
    )  # fmt: skip
    port = stack.broker.listen(identity=authority.issue("broker"), clients_of=authority)
    stack.bridge.settings["BROKER_PORT"] = port
    prometheus = watch(stack.start())
    prometheus.wait_until_firing("CertificateEnds")
    assert "certificate_ends" in [one["id"] for one in stack.bridge.status()["warnings"]]
    own.replace(authority.issue("bridge", hours=(-1, 24 * 30)))
    prometheus.wait_until_clear("CertificateEnds")
    stack.publisher.send(picture())
    stack.assert_exactly_stored()


def test_no_alarm_is_left_out():
    """Neither of the tests above, nor of the documents."""
    names = set(ALARM.findall(RULES.read_text()))
    tested = open(__file__).read()
    for name in names:
        word = name.removeprefix("MqttToBlob")
        assert re.search(rf'wait_until_firing\([^)]*"{word}"', tested), name
    unit_tests = RULES.with_name("alerts_test.yml").read_text()
    document = (REPOSITORY / "docs" / "metrics.md").read_text()
    for name in names:
        assert f'{{alertname="{name}"}}' in unit_tests, name
        assert f"| `{name}` |" in document, name
    assert set(re.findall(r"\| `(MqttToBlob\w+)` \|", document)) == names


def warnings_by_alert(text, pattern):
    found = {}
    for ids, alert in re.findall(pattern, text):
        found.setdefault(alert, set()).update(re.findall(r"`(\w+)`", ids) or [ids])
    return found


def test_each_warning_of_the_page_has_an_alert(new_stack):
    """The ids are those of the program, and the rules about them fit those and no others."""
    bridge = new_stack().bridge.start()
    given = set(bridge.metrics().by_label("mqtt_to_blob_warning", "id"))
    table = (REPOSITORY / "docs" / "status.md").read_text().partition("## Warnings")[2]
    documented = warnings_by_alert(table, r"(?m)^\| (`.*`) \| .* \| `(\w+)` \|$")
    assert set().union(*documented.values()) == given
    names = {name.removeprefix("MqttToBlob") for name in ALARM.findall(RULES.read_text())}
    assert set(documented) <= names
    for rule in RULES.read_text().split("- alert: MqttToBlob")[1:]:
        name = rule.split()[0]
        asked = re.search(r'mqtt_to_blob_warning\{id=~?"([^"]+)"', rule)
        if asked:
            fitting = {each for each in given if re.fullmatch(asked[1], each)}
            assert fitting - {"disk_error"} == documented.get(name, set()) - {"disk_error"}, name


def test_each_alarm_says_what_to_do_and_where_it_is_written():
    rules = RULES.read_text()
    alarms = len(ALARM.findall(rules))
    for annotation in ("summary", "remedy", "docs"):
        assert len(re.findall(rf"(?m)^ +{annotation}: \S", rules)) == alarms, annotation
    for path, anchor in set(re.findall(r"docs: (\S+)#(\S+)", rules)):
        headings = re.findall(r"(?m)^#+ (.*)$", (REPOSITORY / path).read_text())
        assert anchor in {heading.lower().replace(" ", "-") for heading in headings}, anchor


def test_promtool_finds_nothing_wrong():
    folder = RULES.parent
    promtool("check", "rules", RULES)
    promtool("check", "config", folder / "prometheus.yml")
    promtool("test", "rules", folder / "alerts_test.yml")
