"""The status page in a real browser: in every state, on a phone and a desktop, and clicked on."""

import pathlib
import re

import pytest
from harness.browser import DESKTOP, PHONE, Browser
from harness.messages import Message, picture, pictures
from harness.programs import REPOSITORY
from harness.waiting import wait_until

TOPIC = "ia/rawImage/a/b"
TOKEN = "the-token-of-this-test"
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


def open_page(browser, bridge, expected):
    """Opens it and waits until its scripts show what is expected in the sentence."""
    browser.open(f"http://127.0.0.1:{bridge.status_port}/")
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


def test_without_scripts_it_is_a_plain_table(browser, new_stack):
    stack = new_stack().start()
    stack.publisher.send(*pictures(3))
    stack.assert_exactly_stored()
    stack.bridge.wait_until_spool_is_empty()
    with browser.without_scripts():
        for size, name in ((DESKTOP, "desktop"), (PHONE, "phone")):
            browser.look(size)
            browser.open(f"http://127.0.0.1:{stack.bridge.status_port}/")
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
    open_page(browser, stack.bridge, "^No picture has come yet; but 2 messages could not become pictures")
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
    browser.wait_for("#sentence", re.compile("queue full for .*new pictures wait at the broker"))
    browser.wait_for("#announcement", re.compile("^Trouble. .*new pictures wait at the broker"))
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


def test_a_slow_line(browser, new_stack):
    stack = new_stack(UPLOAD_BANDWIDTH_LIMIT="20kB").start()
    stream = stack.stream((picture(size=20_000) for _ in range(1000)), per_second=5)
    wait_until(lambda: "faster than they leave" in stack.bridge.status()["sentence"], 40, "a slow line")
    open_page(browser, stack.bridge, "^Pictures come faster than they leave; ")
    assert state(browser) == "attention"
    look_from_all_sides(browser, "slow-line")
    stream.stop()


def test_it_asks_only_while_somebody_looks(browser, new_stack):
    """Counted by the daemon: a page in the background is silent."""
    stack = new_stack().start()
    open_page(browser, stack.bridge, "^Ready for pictures|^All is well")
    browser.run(
        "window.asked = 0; const real = window.fetch;"
        "window.fetch = (...all) => { ++window.asked; return real(...all); };"
        "Object.defineProperty(document, 'hidden', { value: true, configurable: true });"
        "document.dispatchEvent(new Event('visibilitychange'));"
    )
    assert browser.run("return window.asked") == 0
    browser.run(
        "Object.defineProperty(document, 'hidden', { value: false, configurable: true });"
        "document.dispatchEvent(new Event('visibilitychange'));"
    )
    wait_until(lambda: browser.run("return window.asked") >= 2, 10, "it asks again and again")


def test_the_keyboard_alone_is_enough(browser, new_stack):
    stack = new_stack(STATUS_TOKEN=TOKEN).start()
    stack.publisher.send(Message(TOPIC, b"bad"))
    wait_until(lambda: stack.bridge.metric("dead_letters") == 1, 10, "a dead letter")
    open_page(browser, stack.bridge, "could not become a picture")
    reached = []
    for _ in range(12):
        browser.find(":focus, body").send_keys("\ue004")  # Tab
        reached.append(browser.run(
            "const n = document.activeElement; return (n.textContent || n.id).trim()"))  # fmt: skip
    for control in ("Skip to the state", "token", "Use", "Look inside", "Replay", "Drop", "Metrics"):
        assert control in reached, reached


def test_the_screenshots_are_all_there(browser):
    names = {path.stem for path in pathlib.Path(browser.folder).glob("*.png")}
    states = ("well", "bad-messages", "store-down", "disk-full", "wrong-key", "broker-down",
              "no-answer", "no-room", "wrong-clock", "slow-line")  # fmt: skip
    expected = {f"{state}-{size}-{colour}" for state in states
                for size in ("desktop", "phone") for colour in ("light", "dark")}  # fmt: skip
    assert expected <= names
