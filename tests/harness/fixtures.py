"""A pytest plugin: fixtures, time limits, and the services' logs in the report of a failure."""

import signal

import pytest

from harness import service
from harness.folders import remove_behind, wait_until_removed
from harness.stack import Stack
from harness.store import Store, minio_binary

_TIME_LIMIT = 90
_LOG_CHARACTERS = 12_000


@pytest.fixture(scope="session")
def minio():
    return minio_binary()


@pytest.fixture(scope="session")
def shared_store(tmp_path_factory, minio):
    """One MinIO for the tests that leave it alone; each has a bucket of its own in it."""
    store = Store(tmp_path_factory.mktemp("shared-store"), minio, "shared-store")
    store.start()
    yield store
    store.end()
    remove_behind(store.folder)


@pytest.fixture
def new_stack(request, tmp_path, minio, shared_store):
    """Makes stacks; `own_store=True` for those that stop or change theirs, `store` for another."""
    point = service.checkpoint()
    stacks = []

    def make(own_store=False, store=None, **settings):
        stack = Stack(
            tmp_path / f"stack{len(stacks)}",
            minio,
            store=None if own_store else store or shared_store,
            **settings,
        )
        stacks.append(stack)
        return stack

    yield make
    for stack in stacks:
        stack.close()
    service.end_since(point)
    # pytest keeps the folders of three runs, and pictures take much room. Failures keep theirs.
    if not getattr(request.node, "has_failed", False):
        for stack in stacks:
            remove_behind(stack.folder)


def pytest_sessionfinish():
    service.end_all()
    wait_until_removed()


def pytest_configure(config):
    # Ctrl-C and SIGTERM alike run the teardown, so that no service is left over.
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item):
    """A test that hangs fails instead of holding up the others; a campaign takes as long as it does."""
    if item.config.getoption("campaign", False):
        yield
        return
    marker = item.get_closest_marker("time_limit")
    seconds = marker.args[0] if marker else _TIME_LIMIT

    def give_up(*_):
        raise AssertionError(f"not finished after {seconds} s")

    previous = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(seconds)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, previous)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_setup(item):
    item.first_service = service.checkpoint()
    yield


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    report = (yield).get_result()
    if not report.failed:
        return
    item.has_failed = True
    used = list(service.services_since(getattr(item, "first_service", 0)))
    for shared in getattr(item, "funcargs", {}).values():
        if isinstance(shared, Stack):
            used += [s for s in (shared.broker, shared.bridge) if s not in used]
    for process in used:
        text = process.log_text()[-_LOG_CHARACTERS:]
        if text:
            report.sections.append((f"log of {process.name} ({process.log_path})", text))
