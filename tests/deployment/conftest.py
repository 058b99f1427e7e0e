"""The images under test, and an end without leftovers."""

import signal

import engine
import pytest
from harness import service
from harness.programs import REPOSITORY
from harness.store import Store, minio_binary


@pytest.fixture(scope="session")
def docker_engine():
    missing = engine.why_missing()
    if missing:
        pytest.skip(missing)
    engine.make_base_image()
    yield
    engine.remove_all()


@pytest.fixture(scope="session")
def bridge_image(docker_engine):
    engine.build(engine.BRIDGE_IMAGE, REPOSITORY, "--build-arg", "VERSION=0.0.0-test")
    return engine.BRIDGE_IMAGE


@pytest.fixture(scope="session")
def services_image(docker_engine):
    engine.build(engine.SERVICES_IMAGE, REPOSITORY / "tests" / "deployment" / "services")
    return engine.SERVICES_IMAGE


@pytest.fixture(scope="session")
def minio():
    return minio_binary()


@pytest.fixture(scope="session")
def shared_store(tmp_path_factory, minio):
    """One MinIO outside of containers; each test has a bucket of its own in it."""
    store = Store(tmp_path_factory.mktemp("shared-store"), minio, "shared-store")
    yield store.start()
    store.end()


def pytest_sessionfinish():
    service.end_all()


def pytest_configure(config):
    # Ctrl-C and SIGTERM alike run the teardown, so that nothing is left over.
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
