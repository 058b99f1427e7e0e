"""The Helm chart and the plain manifests, as Kubernetes would get them."""

import json

from engine import run
from harness.programs import REPOSITORY, obtained

CHART = REPOSITORY / "deploy" / "helm" / "mqtt-to-blob"

# The least that the chart wants to be told, with the credentials in it.
SETTINGS = {
    "BROKER_URL": "broker",
    "TOPIC": "ia/rawImage/#",
    "MINIO_URL": "store:9000",
    "MINIO_SECURE": "False",
    "BUCKET_NAME": "umh-images",
}
CREDENTIALS = {"accessKey": "plant", "secretKey": "plant-secret"}


def values(settings=None, **others):
    return {"settings": SETTINGS | (settings or {}), "credentials": CREDENTIALS} | others


class ChartTool:
    """tests/deployment/chart: Helm's engine, and Kubernetes' types."""

    def __init__(self, folder):
        self._binary = obtained("CHART_TOOL_BIN", "chart-tool")
        self._values = folder / "values.json"  # JSON is YAML

    def __call__(self, *arguments, **options):
        return run(self._binary, *arguments, **options)

    def render(self, values, release="site", what="render", check=True):
        """The finished process; its output is YAML."""
        self._values.write_text(json.dumps(values))
        return self(what, "-release", release, CHART, self._values, check=check)

    def read(self, text, folder, check=True):
        """The finished process; its output is an array of objects."""
        file = folder / "manifests.yaml"
        file.write_text(text)
        return self("read", file, check=check)

    def objects(self, values, folder, release="site"):
        """kind -> object"""
        text = self.render(values, release).stdout
        return by_kind(json.loads(self.read(text, folder).stdout))


def by_kind(objects):
    found = {one["kind"]: one for one in objects}
    assert len(found) == len(objects), "two of one kind"
    return found


def pod_of(objects):
    return objects["StatefulSet"]["spec"]["template"]["spec"]


def environment_of(objects):
    """What the container gets, from its ConfigMap and its own list."""
    (container,) = pod_of(objects)["containers"]
    (source,) = container["envFrom"]
    assert source["configMapRef"]["name"] == objects["ConfigMap"]["metadata"]["name"]
    own = {one["name"]: one["value"] for one in container["env"]}
    shared = objects["ConfigMap"]["data"]
    assert not own.keys() & shared.keys(), "said twice"
    return shared | own
