"""The status page in a real browser: in every state, on a phone and a desktop, and clicked on."""

import pathlib
import re

import pytest
from harness.browser import DESKTOP, PHONE, Browser
from harness.messages import Message, picture, pictures
from harness.programs import REPOSITORY
from harness.waiting import stays_true, wait_until
from harness.wire import TO_SERVER, Wire

TOPIC = "ia/rawImage/a/b"
TOKEN = "the-token-of-this-test"
PERIOD = 3  # seconds between two looks, and with JavaScript off ten: docs/status.md
PERIOD_WITHOUT_SCRIPTS = 10
TAB, ENTER, SPACE = "\ue004", "\ue007", " "
QUICK = {"RETRY_MAX_DELAY": "500ms", "STORE_CONNECT_TIMEOUT": "1s"}
SAMPLE = (REPOSITORY / "scripts" / "assets" / "sample.jpg").read_bytes()


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    browser = Browser(tmp_path_factory.mktemp("browser"))
    yield browser
    browser.close()


@pytest.fixture(autouse=True)
def no_console_errors(browser, new_stack):
    """Ends before the stack does: a page whose daemon has gone tells of that."""
    browser.look()
    browser.errors()
    yield
    errors = browser.errors()
    browser.open("about:blank")
    assert errors == []


def open_page(browser, bridge, expected, port=None):
    """Opens it and waits until its scripts show what is expected in the sentence."""
    browser.open(f"http://127.0.0.1:{port or bridge.status_port}/")
    browser.wait_for("#sentence", re.compile(expected))
    browser.wait_for("#fresh", re.compile("^as of "))


def look_from_all_sides(browser, name):
    """Desktop and phone, light and dark: screenshots, and nothing wrong with any of them."""
    for size, size_name in ((DESKTOP, "desktop"), (PHONE, "phone")):
        for dark in (False, True):
            browser.look(size, dark)
            flaws = browser.flaws()
            where = f"{name}-{size_name}-{'dark' if dark else 'light'}"
            browser.screenshot(where)
            assert flaws == [], where
    browser.look()


def state(browser):
    return browser.run("return document.documentElement.dataset.state")


def stages(browser):
    return browser.run(
        "return Object.fromEntries([...document.querySelectorAll('.stage')]"
        ".map((stage) => [stage.dataset.stage, stage.dataset.health]))"
    )


def test_well_with_pictures(browser, new_stack):
    stack = new_stack().start()
    stack.publisher.send(picture("line-4/cam 1", body=SAMPLE))
    stack.assert_exactly_stored()
    open_page(browser, stack.bridge, "^All is well: ")
    browser.wait_for("#pictures b", re.compile(r"line-4/cam 1\.jpg"))
    wait_until(
        lambda: browser.run("const i = document.querySelector('#pictures img');"
                            "return i && i.complete && i.naturalWidth"),
        10, "the picture is drawn",
    )  # fmt: skip
    assert state(browser) == "well"
    assert set(stages(browser).values()) == {"well"}
    assert not browser.find("#todo").is_displayed()
    assert not browser.find("#letters-section").is_displayed()
    assert "connected" in browser.text("[data-stage=broker]")
    assert stack.bucket_name in browser.text("[data-stage=store]")
    # It updates by itself; of pictures that come within a second one is shown.
    wait_until(
        lambda: stack.publisher.send(picture("another", body=SAMPLE))
        or "another.jpg" in browser.text("#pictures"),
        15, "another picture is shown", poll=0.5,
    )  # fmt: skip
    look_from_all_sides(browser, "well")


def test_pictures_under_one_key_are_a_fact(browser, new_stack):
    stack = new_stack().start()
    stack.publisher.send(*pictures(2))
    stack.assert_exactly_stored()
    open_page(browser, stack.bridge, "^All is well: ")
    assert not browser.find("#overwritten").is_displayed()
    for _ in range(2):
        stack.publisher.send(picture("frame"))
        stack.bridge.wait_until_spool_is_empty()
    browser.wait_for("#overwritten", re.compile("^The last 4 pictures went under 3 keys: of those"))
    assert state(browser) == "well"


def test_without_scripts_it_is_a_plain_table(browser, new_stack):
    stack = new_stack().start()
    stack.publisher.send(*pictures(3))
    stack.assert_exactly_stored()
    stack.bridge.wait_until_spool_is_empty()
    with browser.without_scripts():
        for size, name in ((DESKTOP, "desktop"), (PHONE, "phone")):
            browser.look(size)
            browser.open(f"http://127.0.0.1:{stack.bridge.status_port}/")
            refresh = browser.find("meta[http-equiv=refresh]").get_attribute("content")
            assert refresh == str(PERIOD_WITHOUT_SCRIPTS)
            table = browser.text("table.values")
            assert re.search(r"^Stored 3$", table, re.MULTILINE)
            assert re.search(r"^Subscribed yes$", table, re.MULTILINE)
            assert browser.text("#sentence").startswith("All is well: ")
            assert not any(each.is_displayed() for each in browser.find_all(".live"))
            assert browser.flaws() == []
            browser.screenshot(f"no-scripts-{name}")


def test_bad_messages_are_looked_into_replayed_and_dropped(browser, new_stack):
    evil = '<img src=x onerror="document.title=1">'
    stack = new_stack(STATUS_TOKEN=TOKEN).start()
    bad = Message(TOPIC + "/<b>bold</b>", evil.encode())
    stack.publisher.send(bad, Message(TOPIC, b"\xff\xd8\xff\xe0 no JSON"))
    wait_until(lambda: stack.bridge.metric("dead_letters") == 2, 10, "two dead letters")
    open_page(browser, stack.bridge, "^No picture waits; but 2 messages could not become pictures")
    assert state(browser) == "attention"
    assert stages(browser)["decode"] == "attention"
    newest, oldest = [row.get_attribute("data-id") for row in browser.find_all(".letter")]
    # Nothing without the token, and it says so.
    browser.press("Look inside", f"[data-id='{oldest}']")
    browser.wait_for("#told", re.compile("enter the token"))
    browser.press("Replay", f"[data-id='{oldest}']")
    browser.wait_for("#told", re.compile("To replay it, enter the token first"))
    assert browser.run("return document.activeElement.id") == "token"
    browser.find("#token").send_keys("a-wrong-token-of-some-length\n")
    browser.press("Replay", f"[data-id='{oldest}']")
    browser.wait_for("#told", re.compile("That is not the token"))
    browser.find("#token").send_keys(TOKEN + "\n")
    assert browser.run("return document.cookie + localStorage.length + sessionStorage.length") == "00"
    # What messages hold is text.
    browser.press("Look inside", f"[data-id='{oldest}']")
    browser.wait_for(f"[data-id='{oldest}'] pre", re.compile("^" + re.escape(evil) + "$"))
    browser.press("Look inside", f"[data-id='{newest}']")
    browser.wait_for(f"[data-id='{newest}'] pre", re.compile("^ff d8 ff e0 20"))
    assert not browser.find_all("#letters img, #letters b")
    look_from_all_sides(browser, "bad-messages")
    # It is rubbish still, and comes back under another number.
    browser.press("Replay", f"[data-id='{oldest}']")
    browser.wait_for("#told", re.compile(f"No. {oldest} is back in the queue"))
    wait_until(lambda: stack.bridge.metric("dead_letters") == 2, 10, "it is a dead letter again")
    browser.press("Drop", f"[data-id='{newest}']")
    assert stack.bridge.metric("dead_letters") == 2, "dropping takes two clicks"
    browser.press("Drop for good?", f"[data-id='{newest}']")
    browser.wait_for("#told", re.compile(f"No. {newest} is dropped"))
    wait_until(lambda: stack.bridge.metric("dead_letters") == 1, 10, "one is left")
    # The console tells of the refusals as well.
    assert all("401 (Unauthorized)" in each for each in browser.errors())


def test_store_down_then_queue_full_then_wrong_key(browser, new_stack):
    stack = new_stack(own_store=True, SPOOL_MAX_BYTES="4MiB", **QUICK).start()
    stack.publisher.send(*pictures(5))
    stack.assert_exactly_stored()
    stack.store.stop()
    stack.publisher.send(*pictures(20, size=20_000))
    open_page(browser, stack.bridge, r"^Store unreachable for .*; 20 pictures")
    assert state(browser) == "trouble"
    assert stages(browser) | {"store": "trouble", "broker": "well"} == stages(browser)
    assert "Nothing answers at" in browser.text("#warnings")
    assert browser.run("return document.title").startswith("Trouble: ")
    look_from_all_sides(browser, "store-down")

    stack.publisher.send(*pictures(300, size=20_000))
    browser.wait_for("#sentence", re.compile("queue full for .*no new pictures are taken"))
    browser.wait_for("#announcement", re.compile("^Trouble. .*no new pictures are taken"))
    browser.wait_for("#forecast", re.compile("^Full"))
    assert browser.text("#gauge-all") == "no room left (SPOOL_MAX_BYTES)"
    assert "First let the store take pictures again" in browser.text("#warnings")
    look_from_all_sides(browser, "disk-full")

    stack.store.lock_out()
    stack.store.start()
    browser.wait_for("#sentence", re.compile("^Store refuses our key"))
    assert "MINIO_SECRET_KEY" in browser.text("#warnings")
    look_from_all_sides(browser, "wrong-key")


def test_broker_down_then_no_answer(browser, new_stack):
    stack = new_stack(**QUICK).start()
    stack.broker.stop()
    open_page(browser, stack.bridge, "^Broker unreachable for ")
    assert stages(browser)["broker"] == "trouble"
    look_from_all_sides(browser, "broker-down")
    stack.bridge.stop()
    browser.wait_for("#sentence", re.compile("^mqtt-to-blob does not answer"))
    assert state(browser) == "unknown"
    # What was to be done about the broker is not what is to be done now.
    assert browser.text("#warnings").startswith("mqtt-to-blob does not answer")
    browser.wait_for("#sentence", re.compile(r"What is below is [1-9]\d*\ss old"))
    look_from_all_sides(browser, "no-answer")
    assert all("ERR_CONNECTION_REFUSED" in each for each in browser.errors())


def test_no_room_on_the_disk(browser, new_stack):
    stack = new_stack(SPOOL_MIN_FREE_BYTES="1000TiB", **QUICK)
    stack.broker.start()
    stack.bridge.start()
    stack.broker.wait_for_subscription("ia/rawImage/#")
    stack.publisher.publish(picture())
    open_page(browser, stack.bridge, "^Disk full for ")
    assert stages(browser) | {"queue": "trouble", "store": "well"} == stages(browser)
    assert "nothing waits" in browser.text("[data-stage=queue]")
    assert "no room left" in browser.text("#gauge-all")
    look_from_all_sides(browser, "no-room")


def test_a_wrong_clock(browser, new_stack, store_ahead):
    stack = new_stack(store=store_ahead, **QUICK).start()
    stack.publisher.send(picture())
    stack.assert_exactly_stored()
    open_page(browser, stack.bridge, "but our clock is .* behind the store's")
    assert state(browser) == "attention"
    assert "NTP" in browser.text("#warnings")
    look_from_all_sides(browser, "wrong-clock")


def points_of(browser, curve):
    """The line of a curve of the last hour, as it is drawn: (x, y) of each point, y downwards."""
    path = browser.run("return document.querySelector(arguments[0]).getAttribute('d') || ''",
                       f"#spark-{curve} .line")  # fmt: skip
    return [tuple(map(float, point.split())) for point in re.split("[ML]", path)[1:]]


def is_drawn(points, values):
    """A point for each value, from left to right, and the higher the more it is."""
    across = [x for x, _ in points]
    if not 1 < len(points) == len(values) or across != sorted(set(across)):
        return False
    steps = zip(points, points[1:], values, values[1:])
    seen = max(values) / 20  # a smaller step is hardly one of the line
    return all(
        (after < before) == (more > less)
        for (_, before), (_, after), less, more in steps
        if abs(more - less) > seen
    )


def wire_to(browser, stage):
    """The rate that stands on the line before a stage of the pipeline."""
    assert browser.find(f"[data-stage={stage}] .wire").is_displayed()
    return float(re.fullmatch(r"(\S+) /s", browser.text(f"[data-stage={stage}] .wire")).group(1))


def test_a_slow_line(browser, new_stack):
    stack = new_stack(UPLOAD_BANDWIDTH_LIMIT="20kB").start()
    stack.publisher.send(*pictures(30, size=2_000))  # a steep begin of each curve
    stream = stack.stream((picture(size=20_000) for _ in range(1000)), per_second=5)
    wait_until(lambda: "faster than they leave" in stack.bridge.status()["sentence"], 40, "a slow line")
    open_page(browser, stack.bridge, "^Pictures come faster than they leave; ")
    assert state(browser) == "attention"
    look_from_all_sides(browser, "slow-line")

    # What comes and what goes stands on the wires, and its course in the curves.
    assert wire_to(browser, "queue") > wire_to(browser, "store") > 0
    assert browser.find("[data-stage=broker]").get_attribute("data-flows") is not None
    for curve, name in (("in", "in_per_second"), ("out", "out_per_second"), ("backlog", "backlog")):
        wait_until(
            lambda: is_drawn(points_of(browser, curve), stack.bridge.status()["history"][name]),
            20, lambda: f"{points_of(browser, curve)} as {stack.bridge.status()['history'][name]}",
        )  # fmt: skip
        points = points_of(browser, curve)
        assert len({y for _, y in points}) > 1, (curve, points)
        assert browser.find(f"#spark-{curve} .line").size["height"] > 5
        assert float(re.match(r"[\d.]+", browser.text(f"#spark-{curve} b")).group()) > 0
    stream.stop()


class Door(Wire):
    """Before the daemon: counts how often somebody looks."""

    looks = 0

    def passing(self, link, direction, data):
        if direction == TO_SERVER:
            self.looks += data.count(b"GET /status ")
        super().passing(link, direction, data)


def test_it_asks_only_while_somebody_looks(browser, new_stack):
    """A page in the background is silent."""
    stack = new_stack().start()

    def set_hidden(hidden):
        browser.run(
            f"Object.defineProperty(document, 'hidden', {{ value: {hidden}, configurable: true }});"
            "document.dispatchEvent(new Event('visibilitychange'));"
        )

    with Door(stack.bridge.status_port) as door:
        open_page(browser, stack.bridge, "^Ready for pictures|^All is well", door.port)
        seen = door.looks
        # Just after one, or the next would be on its way.
        wait_until(lambda: door.looks > seen, 3 * PERIOD, "it asks again and again", poll=0.01)
        set_hidden("true")
        seen = door.looks
        stays_true(lambda: door.looks == seen, 1.5 * PERIOD, "nobody looks, and it is silent")
        set_hidden("false")
        wait_until(lambda: door.looks >= seen + 2, 4 * PERIOD, "it asks again, and again")
        browser.open("about:blank")


def tab_to(browser, control):
    """Presses Tab until the control has the focus; returns what had it on the way."""
    reached = []
    while not reached or reached[-1] != control:
        assert len(reached) < 20, f"no {control!r} in {reached}"
        browser.type(TAB)
        reached.append(browser.focused())
    return reached


def test_the_keyboard_alone_is_enough(browser, new_stack):
    stack = new_stack(STATUS_TOKEN=TOKEN).start()
    stack.publisher.send(Message(TOPIC, b"bad"))
    wait_until(lambda: stack.bridge.metric("dead_letters") == 1, 10, "a dead letter")
    open_page(browser, stack.bridge, "could not become a picture")
    reached = tab_to(browser, "Metrics")
    for control in ("Skip to the state", "token", "Use", "Look inside", "Replay", "Drop"):
        assert control in reached, reached

    open_page(browser, stack.bridge, "could not become a picture")
    tab_to(browser, "token")
    browser.type(TOKEN + ENTER)
    browser.wait_for("#token-hint", re.compile("^The token is in use"))
    tab_to(browser, "Look inside")
    browser.type(SPACE)
    browser.wait_for(".letter pre", re.compile("^bad$"))
    assert browser.focused() == "Hide"
    browser.type(ENTER)
    wait_until(lambda: not browser.find_all(".letter pre"), 10, "it is closed again")

    tab_to(browser, "Drop")
    browser.type(ENTER)
    assert browser.focused() == "Drop for good?"
    browser.type(TAB)
    assert browser.text(".deeds").endswith("Drop"), "who goes on has not meant it"
    assert stack.bridge.metric("dead_letters") == 1
    tab_to(browser, "Drop")
    browser.type(SPACE + SPACE)
    browser.wait_for("#told", re.compile("^No. 1 is dropped"))
    wait_until(lambda: stack.bridge.metric("dead_letters") == 0, 10, "it is dropped")


def test_the_screenshots_are_all_there(browser):
    names = {path.stem for path in pathlib.Path(browser.folder).glob("*.png")}
    states = ("well", "bad-messages", "store-down", "disk-full", "wrong-key", "broker-down",
              "no-answer", "no-room", "wrong-clock", "slow-line")  # fmt: skip
    expected = {f"{state}-{size}-{colour}" for state in states
                for size in ("desktop", "phone") for colour in ("light", "dark")}  # fmt: skip
    assert expected <= names
