"""The Helm chart: Kubernetes knows what it makes, it refuses what is wrong, and nothing is written twice."""

import json
import re

import pytest
from engine import run
from harness.bridge import bridge_binary
from harness.programs import REPOSITORY
from manifests import CHART, ChartTool, by_kind, environment_of, pod_of, values

PLAIN = REPOSITORY / "deploy" / "kubernetes"
RULES = """# of some file
groups:
  - name: mqtt-to-blob
    rules:
      - alert: NotWell
        expr: mqtt_to_blob_store_reachable == 0
        for: 5m
        annotations: {summary: "Not well: {{ $labels.instance }}"}
"""
EVERYTHING = values(
    {"LOGGING_LEVEL": "DEBUG", "MINIO_URL": "[fd00::9]:9443"},
    credentials={"existingSecret": "keys-of-site",
                 "keys": {"accessKey": "a", "secretKey": "b", "mqttPassword": "c", "spoolKey": "d"}},
    image={"repository": "registry.example/mqtt-to-blob", "tag": "1.2.3"},
    imagePullSecrets=[{"name": "registry"}],
    persistence={"storageClassName": "fast", "size": "200Gi", "annotations": {"a": "b"},
                 "accessModes": ["ReadWriteOncePod"]},
    networkPolicy={"metricsFrom": [{"namespaceSelector": {"matchLabels": {"name": "monitoring"}}}],
                   "extraEgressPorts": [9443]},
    serviceMonitor={"enabled": True, "labels": {"release": "prometheus"}},
    prometheusRule={"enabled": True, "rules": RULES},
    extraEnv=[{"name": "SSL_CERT_FILE", "value": "/ca/ca.crt"}],
    extraVolumes=[{"name": "ca", "configMap": {"name": "ca"}}],
    extraVolumeMounts=[{"name": "ca", "mountPath": "/ca", "readOnly": True}],
    service={"annotations": {"a": "b"}}, serviceAccount={"annotations": {"a": "b"}},
    podAnnotations={"a": "b"}, podLabels={"line": "4"}, nodeSelector={"disk": "ssd"},
    tolerations=[{"key": "edge", "operator": "Exists", "effect": "NoSchedule"}],
    affinity={"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
        "nodeSelectorTerms": [{"matchExpressions": [{"key": "site", "operator": "Exists"}]}]}}},
    priorityClassName="system-node-critical",
)  # fmt: skip


@pytest.fixture(scope="module")
def tool(tmp_path_factory):
    return ChartTool(tmp_path_factory.mktemp("chart"))


@pytest.fixture(scope="module")
def least(tool, tmp_path_factory):
    return tool.objects(values(), tmp_path_factory.mktemp("least"))


@pytest.fixture(scope="module")
def everything(tool, tmp_path_factory):
    return tool.objects(EVERYTHING, tmp_path_factory.mktemp("everything"))


def test_kubernetes_knows_what_the_chart_makes(least, everything):
    usual = {"ServiceAccount", "ConfigMap", "Service", "StatefulSet", "NetworkPolicy"}
    assert least.keys() == usual | {"Secret"}
    assert everything.keys() == usual | {"ServiceMonitor", "PrometheusRule"}


@pytest.mark.parametrize(
    "right, wrong, complaint",
    [
        ("readOnlyRootFilesystem:", "readonlyRootFilesystem:", "unknown field"),
        ("replicas: 1", "replicas: one", "cannot unmarshal|unmarshal"),
        ("apiVersion: apps/v1", "apiVersion: apps/v7", "no kind"),
        ("kind: ConfigMap", "kind: ConfigMap\nkind: ConfigMap", "already set|duplicate"),
        ("app.kubernetes.io/instance: site", "app.kubernetes.io/instance: site!", "metadata.labels"),
    ],
)
def test_the_check_sees_mistakes(tool, tmp_path, right, wrong, complaint):
    text = tool.render(values()).stdout
    assert right in text
    finished = tool.read(text.replace(right, wrong), tmp_path, check=False)
    assert finished.returncode == 1
    assert re.search(complaint, finished.stderr), finished.stderr


@pytest.mark.parametrize("which", ["least", "everything"])
def test_the_parts_know_each_other(request, which):
    objects = request.getfixturevalue(which)
    workload = objects["StatefulSet"]["spec"]
    labels = workload["template"]["metadata"]["labels"].items()
    for selector in (
        workload["selector"]["matchLabels"],
        objects["Service"]["spec"]["selector"],
        objects["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"],
    ):
        assert selector and selector.items() <= labels
    assert workload["serviceName"] == objects["Service"]["metadata"]["name"]
    pod = pod_of(objects)
    assert pod["serviceAccountName"] == objects["ServiceAccount"]["metadata"]["name"]
    (container,) = pod["containers"]
    volumes = {one["name"]: one for one in pod["volumes"]}
    claims = {one["metadata"]["name"] for one in workload["volumeClaimTemplates"]}
    assert {one["name"] for one in container["volumeMounts"]} == volumes.keys() | claims
    files = {f"/credentials/{item['path']}": item["key"]
             for item in volumes["credentials"]["secret"]["items"]}  # fmt: skip
    environment = environment_of(objects)
    assert files.keys() == {path for name, path in environment.items() if name.endswith("_FILE")
                            and path.startswith("/credentials/")}  # fmt: skip
    if which == "least":
        assert volumes["credentials"]["secret"]["secretName"] == objects["Secret"]["metadata"]["name"]
        assert set(files.values()) == objects["Secret"]["stringData"].keys()
    else:
        assert volumes["credentials"]["secret"]["secretName"] == "keys-of-site"
        assert set(files.values()) == {"a", "b", "c", "d"}
        monitor = objects["ServiceMonitor"]["spec"]
        assert monitor["selector"]["matchLabels"].items() <= (
            objects["Service"]["metadata"]["labels"].items()
        )
        (rule,) = objects["PrometheusRule"]["spec"]["groups"][0]["rules"]
        assert rule["annotations"]["summary"] == "Not well: {{ $labels.instance }}"
        assert monitor["endpoints"][0]["port"] == objects["Service"]["spec"]["ports"][0]["name"]


@pytest.mark.parametrize("which", ["least", "everything"])
def test_the_pod_has_no_right_that_it_does_not_need(request, which):
    objects = request.getfixturevalue(which)
    pod = pod_of(objects)
    (container,) = pod["containers"]
    assert pod["securityContext"] == {
        "runAsNonRoot": True, "runAsUser": 65532, "runAsGroup": 65532, "fsGroup": 65532,
        "fsGroupChangePolicy": "OnRootMismatch", "seccompProfile": {"type": "RuntimeDefault"},
    }  # fmt: skip
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["automountServiceAccountToken"] is False
    assert objects["ServiceAccount"]["automountServiceAccountToken"] is False
    assert container["resources"]["limits"]["memory"] == "640Mi"
    policy = objects["NetworkPolicy"]["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    reached = [port["port"] for port in policy["egress"][0]["ports"]]
    if which == "least":
        assert policy["ingress"] == []
        assert reached == [53, 53, 1883, 9000]
    else:
        assert policy["ingress"][0]["ports"] == [{"port": "status"}]
        assert reached == [53, 53, 1883, 9443, 9443]


@pytest.mark.parametrize(
    "settings, port",
    [
        ({"MINIO_URL": "s3.example", "MINIO_SECURE": "True"}, 443),
        ({"MINIO_URL": "s3.example", "MINIO_SECURE": "no"}, 80),
        ({"MINIO_URL": "s3.example:9000", "MINIO_SECURE": "True"}, 9000),
        ({"MINIO_URL": "[fd00::1]", "MINIO_SECURE": "True"}, 443),
        ({"MINIO_URL": "https://s3.example:9000/", "MINIO_SECURE": "True"}, 9000),
        ({"MINIO_URL": "HTTPS://s3.example", "MINIO_SECURE": "True"}, 443),
        ({"MINIO_URL": "http://[fd00::1]", "MINIO_SECURE": "False"}, 80),
    ],
)
def test_the_policy_lets_out_to_the_store(tool, tmp_path, settings, port):
    objects = tool.objects(values(settings), tmp_path)
    assert objects["NetworkPolicy"]["spec"]["egress"][0]["ports"][3] == {"port": port}


@pytest.mark.parametrize(
    "settings, port",
    [
        ({}, 1883),
        ({"MQTT_TRANSPORT": "tcp"}, 1883),
        ({"MQTT_TRANSPORT": "tls"}, 8883),
        ({"MQTT_TRANSPORT": "ws"}, 80),
        ({"MQTT_TRANSPORT": "wss"}, 443),
        ({"MQTT_TRANSPORT": "WSS"}, 443),
        ({"MQTT_TRANSPORT": "tls", "BROKER_PORT": "1884"}, 1884),
        ({"BROKER_URL": "mqtts://broker.example"}, 8883),
        ({"BROKER_URL": "SSL://[fd00::1]:8884"}, 8884),
        ({"BROKER_URL": "wss://broker.example/a:1/b"}, 443),
        ({"BROKER_URL": "ws://broker.example:9001/mqtt"}, 9001),
        ({"BROKER_URL": "broker.example:1884"}, 1884),
        ({"BROKER_URL": "fd00::1"}, 1883),
        ({"BROKER_URL": "mqtts://broker.example", "BROKER_PORT": "1884"}, 1884),
    ],
)
def test_the_policy_lets_out_to_the_broker(tool, tmp_path, settings, port):
    objects = tool.objects(values(settings), tmp_path)
    assert objects["NetworkPolicy"]["spec"]["egress"][0]["ports"][2] == {"port": port}
    # The program has the same default, and is told no port that nobody gave.
    told = objects["ConfigMap"]["data"]
    assert {name: told.get(name) for name in ("MQTT_TRANSPORT", "BROKER_PORT")} == {
        name: settings.get(name) for name in ("MQTT_TRANSPORT", "BROKER_PORT")
    }


def test_the_program_takes_the_settings_as_the_pod_gets_them(least, tmp_path):
    environment = environment_of(least)
    for name, text in least["Secret"]["stringData"].items():
        (tmp_path / name).write_text(text)
    here = {name: value.replace("/credentials", str(tmp_path))
            for name, value in environment.items()}  # fmt: skip
    told = run(bridge_binary(), "--check", env=here)
    assert told.stdout == "the configuration is valid\n"


@pytest.mark.parametrize(
    "wrong, complaint",
    [
        ({"settings": {"BROKER_PROT": "1884"}}, "BROKER_PROT"),
        ({"settings": {"BROKER_PORT": 1884}}, "BROKER_PORT"),
        ({"settings": {"BROKER_PORT": ""}}, "BROKER_PORT"),
        ({"settings": {"MQTT_TRANSPORT": "ssl"}}, "MQTT_TRANSPORT"),
        ({"settings": {"MINIO_SECRET_KEY": "in the clear"}}, "MINIO_SECRET_KEY"),
        ({"settings": {"SPOOL_DIR": "/tmp"}}, "SPOOL_DIR"),
        ({"settings": {"TOPIC": ""}}, "TOPIC"),
        ({"settings": {"STATUS_ADDRESS": "127.0.0.1:9000"}}, "STATUS_ADDRESS"),
        ({"persistance": {"size": "20Gi"}}, "persistance"),
        ({"persistence": {"size": "much"}}, "size"),
        ({"persistence": {"accessModes": ["ReadWriteMany"]}}, "accessModes"),
        ({"replicas": 2}, "replicas"),
        ({"terminationGracePeriodSeconds": 1}, "terminationGracePeriodSeconds"),
        ({"networkPolicy": {"enabled": "yes"}}, "enabled"),
        ({"image": {"pullPolicy": "Sometimes"}}, "pullPolicy"),
        ({"prometheusRule": {"enabled": True}}, "prometheusRule.rules"),
        ({"credentials": {"existingSecret": ""}}, "set credentials.existingSecret"),
    ],
)
def test_wrong_values_are_refused(tool, wrong, complaint):
    given = values(wrong.get("settings")) | {
        name: value for name, value in wrong.items() if name != "settings"
    }
    finished = tool.render(given, check=False)
    assert finished.returncode == 1
    assert complaint in finished.stderr, finished.stderr


def job_of(objects):
    """The label `job` of the metrics, as the Prometheus operator makes it of a ServiceMonitor."""
    monitor, service = objects["ServiceMonitor"]["spec"], objects["Service"]["metadata"]
    job = service["labels"].get(monitor.get("jobLabel"), service["name"])
    (endpoint,) = monitor["endpoints"]
    for step in endpoint.get("relabelings", []):
        assert step.keys() == {"targetLabel", "replacement"}, "depends on what is not known here"
        job = step["replacement"] if step["targetLabel"] == "job" else job
    return job


@pytest.mark.parametrize(
    "names", [{}, {"nameOverride": "pictures"}, {"fullnameOverride": "pictures-of-hall-2"}]
)
def test_the_shipped_alarms_select_what_the_monitor_scrapes(tool, tmp_path, names):
    alarms = (REPOSITORY / "deploy" / "prometheus" / "alerts.yml").read_text()
    given = values(serviceMonitor={"enabled": True}, **names)
    objects = tool.objects(given, tmp_path, release="bridge")
    assert objects["Service"]["metadata"]["name"] != "mqtt-to-blob"
    assert set(re.findall(r'\bjob="([^"]*)"', alarms)) == {job_of(objects)}


def test_nothing_is_installed_before_it_is_told_where_to(tool):
    finished = tool.render({}, check=False)
    assert finished.returncode == 1
    for name in ("BROKER_URL", "TOPIC", "MINIO_URL", "BUCKET_NAME"):
        assert name in finished.stderr, finished.stderr


def test_the_schema_knows_the_settings_of_the_program():
    printed = run(bridge_binary(), "--settings").stdout
    rows = re.findall(
        r"^\| `([A-Z0-9_]+)`(?: or `([A-Z0-9_]+)`)?(?:, or `[A-Z0-9_]+`)? \|", printed, re.MULTILINE
    )
    set_by_the_chart = {
        "SPOOL_DIR", "MINIO_ACCESS_KEY_FILE", "MINIO_SECRET_KEY_FILE", "MQTT_PASSWORD_FILE",
        "SPOOL_KEY_FILE",
    }  # fmt: skip
    schema = json.loads((CHART / "values.schema.json").read_text())
    allowed = schema["properties"]["settings"]["propertyNames"]["enum"]
    expected = [file or name for name, file in rows]
    assert set_by_the_chart <= set(expected)
    assert allowed == [one for one in expected if one not in set_by_the_chart], (
        "scripts/manifests writes them"
    )


def test_a_long_name_is_cut_so_that_the_pods_still_have_one(tool, tmp_path):
    release = "r" * 53  # the longest that Helm takes
    objects = tool.objects(values(), tmp_path, release)
    assert len(objects["StatefulSet"]["metadata"]["name"]) <= 52


def test_an_existing_claim_takes_the_place_of_the_template(tool, tmp_path):
    objects = tool.objects(values(persistence={"existingClaim": "old-spool"}), tmp_path)
    assert "volumeClaimTemplates" not in objects["StatefulSet"]["spec"]
    assert {"name": "spool", "persistentVolumeClaim": {"claimName": "old-spool"}} in (
        pod_of(objects)["volumes"]
    )


def test_changed_settings_start_the_pod_anew(tool, tmp_path):
    def hash_of(**settings):
        objects = tool.objects(values(settings), tmp_path)
        return objects["StatefulSet"]["spec"]["template"]["metadata"]["annotations"]

    assert hash_of() == hash_of() != hash_of(MQTT_QOS="2")


def test_what_is_told_after_the_installation_names_what_was_installed(tool):
    notes = tool.render(values(), "site", "notes").stdout
    assert "statefulset/site-mqtt-to-blob" in notes and "umh-images" in notes
    assert "plant-secret" not in notes


def test_the_plain_manifests_are_the_chart_s(tool, tmp_path):
    run(REPOSITORY / "scripts" / "manifests", tmp_path)
    fresh = {file.name: file.read_text() for file in tmp_path.glob("*.yaml")}
    assert {file.name: file.read_text() for file in PLAIN.glob("*.yaml")} == fresh, (
        "scripts/manifests writes them"
    )
    objects = by_kind(json.loads(tool("read", *sorted(PLAIN.glob("*.yaml"))).stdout))
    assert "Secret" not in objects
    assert pod_of(objects)["volumes"][0]["secret"]["secretName"] == "mqtt-to-blob"
