"""`scripts/sbom`: a valid document that names whatever the program is made of."""

import json
import os
import re
import subprocess

import pytest

from harness.bridge import bridge_binary
from harness.programs import REPOSITORY


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sbom")
    subprocess.run(
        [REPOSITORY / "scripts" / "sbom", "--build", bridge_binary().parent, folder],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def document(written):
    return json.loads((written / "sbom.spdx.json").read_text())


def packages_of_loaded_libraries():
    listed = subprocess.run(["ldd", bridge_binary()], check=True, capture_output=True, text=True)
    libraries = [os.path.realpath(path) for path in re.findall(r"/\S+", listed.stdout)]
    # One or the other is on record.
    paths = {path: [path, path.removeprefix("/usr")] for path in libraries}
    asked = subprocess.run(["dpkg-query", "-S", *sum(paths.values(), [])], capture_output=True, text=True)
    owners = dict(reversed(line.split(": ", 1)) for line in asked.stdout.splitlines())
    return {
        next(owners[path] for path in candidates if path in owners).split(":")[0]
        for candidates in paths.values()
    }


def test_the_document_has_the_fields_of_spdx(document):
    assert document["spdxVersion"] == "SPDX-2.3"
    assert document["dataLicense"] == "CC0-1.0"
    assert document["SPDXID"] == "SPDXRef-DOCUMENT"
    assert re.fullmatch(r"https://\S+[0-9a-f]{64}", document["documentNamespace"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", document["creationInfo"]["created"])
    assert document["creationInfo"]["creators"]
    ids = [package["SPDXID"] for package in document["packages"]]
    assert len(ids) == len(set(ids)) > 20
    for package in document["packages"]:
        assert re.fullmatch(r"SPDXRef-[A-Za-z0-9.-]+", package["SPDXID"]), package
        assert package["name"] and package["versionInfo"], package
        for field in ("downloadLocation", "licenseConcluded", "licenseDeclared", "copyrightText"):
            assert package[field], (field, package)
    known = {*ids, "SPDXRef-DOCUMENT"}
    for relationship in document["relationships"]:
        assert {relationship["spdxElementId"], relationship["relatedSpdxElement"]} <= known


def names_related_by(document, kind):
    names = {package["SPDXID"]: package["name"] for package in document["packages"]}
    return {
        names[relationship["relatedSpdxElement"]]
        for relationship in document["relationships"]
        if relationship["relationshipType"] == kind
    }


def test_every_library_that_is_loaded_is_in_it(document):
    linked = names_related_by(document, "DYNAMIC_LINK")
    assert packages_of_loaded_libraries() == linked
    assert {"libc6", "libssl3", "liblmdb0", "libsimdjson14"} <= linked


def test_what_is_compiled_in_is_in_it_and_what_only_tests_use_is_not(document):
    compiled_in = names_related_by(document, "STATIC_LINK")
    assert {"libpaho-mqtt-dev", "libconcurrentqueue-dev", "nlohmann-json3-dev", "libcli11-dev"} <= (
        compiled_in
    )
    assert not {"doctest-dev", "libbenchmark-dev"} & compiled_in


def test_every_package_has_its_version_and_its_licence(document, written):
    installed = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Package} ${Version}\n"], check=True, capture_output=True, text=True
    ).stdout.splitlines()
    for package in document["packages"]:
        if package["name"] == "mqtt-to-blob":
            continue
        assert f"{package['name']} {package['versionInfo']}" in installed
        assert package["licenseComments"]
        assert (written / "licences" / package["name"]).stat().st_size > 100


def test_the_list_names_the_licences_that_ask_something(written):
    text = (written / "THIRD_PARTY.md").read_text()
    duties = text.split("## What the licences ask")[1]
    assert re.search(r"\*\*libpaho-mqtt-dev\*\*: EPL-2\.0", duties)
    assert re.search(r"\*\*liblmdb0\*\*: OpenLDAP", duties)
    assert "paho.mqtt.c" in duties
