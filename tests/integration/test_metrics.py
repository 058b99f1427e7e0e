"""/metrics against its document, promtool, and the dashboard that reads it."""

import json
import re

import pytest
from harness import service
from harness.certificates import Authority
from harness.messages import Message, picture, pictures
from harness.metrics import Metrics
from harness.programs import REPOSITORY
from harness.prometheus import promtool
from harness.stack import Stack
from harness.waiting import wait_until

DOCUMENT = REPOSITORY / "docs" / "metrics.md"
DASHBOARD = REPOSITORY / "deploy" / "grafana" / "dashboard.json"
ROW = re.compile(r"^\| `([a-z_]+)` \| (gauge|counter|histogram) \|([^|]*)\|[^|]+\|", re.M)


@pytest.fixture(scope="module")
def scrape(tmp_path_factory, minio):
    """What /metrics says once there is a sample of everything."""
    point = service.checkpoint()
    authority = Authority(tmp_path_factory.mktemp("authority"))
    own = authority.issue("bridge")
    stack = Stack(
        tmp_path_factory.mktemp("metrics"), minio, RETRY_MAX_DELAY="200ms", MQTT_TRANSPORT="tls",
        MQTT_CA_FILE=authority.certificate, MQTT_CERT_FILE=own.certificate, MQTT_KEY_FILE=own.key,
    )  # fmt: skip
    stack.bridge.settings["BROKER_PORT"] = stack.broker.listen(identity=authority.issue("broker"))
    stack.store.start()
    stack.bridge.start()  # without a broker: connections fail
    wait_until(lambda: stack.bridge.total("broker_connect_failures_total") > 0, 10, "a failure")
    stack.broker.start()
    stack.bridge.wait_until_subscribed()
    stack.publisher.send(*pictures(3), Message("ia/rawImage/a/b", b"bad"))
    stack.assert_exactly_stored()
    stack.store.stop()
    stack.publisher.send(picture())
    wait_until(lambda: stack.bridge.total("upload_refusals_total") > 0, 10, "a retry")
    text = stack.bridge.request("/metrics")[2]
    stack.close()
    service.end_since(point)
    return text


def documented():
    """name -> (type, label names)"""
    rows = {}
    for name, kind, labels in ROW.findall(DOCUMENT.read_text()):
        full = name if name.startswith("process_") else f"mqtt_to_blob_{name}"
        assert full not in rows, f"{name} stands there twice"
        rows[full] = (kind, set(re.findall(r"`(\w+)`", labels)))
    return rows


def test_the_document_has_what_the_daemon_gives_and_nothing_else(scrape):
    given = {
        name: (
            family.type,
            {label for _, labels in family.samples for label, _ in labels} - {"le"},
        )
        for name, family in Metrics(scrape).families.items()
    }
    assert given == documented()


def test_each_metric_has_a_sample_once_everything_has_happened(scrape):
    assert not [name for name, family in Metrics(scrape).families.items() if not family.samples]


def test_promtool_finds_nothing_wrong(scrape):
    assert promtool("check", "metrics", stdin=scrape) == ""


def test_the_states_are_told_by_one_sample_each(scrape):
    metrics = Metrics(scrape)
    for name, state in (
        ("spool_intake_state", "open"), ("store_state", "away"), ("health_state", "trouble"),
    ):
        states = metrics.by_label(f"mqtt_to_blob_{name}", "state")
        assert {one for one, value in states.items() if value == 1} == {state}
        assert sum(states.values()) == 1


def queries():
    dashboard = json.loads(DASHBOARD.read_text())
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(ids)) == len(ids) > 10
    return [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]


def test_the_dashboard_asks_for_metrics_that_there_are(scrape):
    known = set()
    for name, family in Metrics(scrape).families.items():
        suffixes = ("_bucket", "_sum", "_count") if family.type == "histogram" else ("",)
        known |= {name + suffix for suffix in suffixes}
    asked = set(re.findall(r"\b((?:mqtt_to_blob|process)_[a-z_]+)", " ".join(queries())))
    assert asked <= known, asked - known
    assert len(asked) > 20


def test_the_dashboard_asks_in_promql(tmp_path):
    """As rules, since promtool reads those; with values for what Grafana puts in."""
    rules = "\n".join(
        f"      - record: dashboard:query{number}\n        expr: {json.dumps(query)}"
        for number, query in enumerate(
            query.replace("$__rate_interval", "1m").replace("$job", ".*").replace("$instance", ".*")
            for query in queries()
        )
    )
    assert "$" not in rules
    path = tmp_path / "queries.yml"
    path.write_text(f"groups:\n  - name: dashboard\n    rules:\n{rules}\n")
    promtool("check", "rules", path)
