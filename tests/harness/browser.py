"""A real browser, headless Chromium, that looks at a page and clicks on it."""

import contextlib
import os
import pathlib
import shutil

from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By

from harness.waiting import wait_until

DESKTOP = (1280, 900)
PHONE = (360, 740)

# Text whose contrast is below 4.5 (WCAG 2.1, 1.4.3), and elements that stick out of the page.
_LOW_CONTRAST = """
const numbers = (text) => text.match(/[\\d.]+/g).map(Number);
const light = (rgb) => {
  const [r, g, b] = rgb.slice(0, 3).map((v) => v / 255)
    .map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const ground = (node) => {
  for (; node; node = node.parentElement) {
    const found = numbers(getComputedStyle(node).backgroundColor);
    if (found.length < 4 || found[3] > 0) return found;
  }
  return [255, 255, 255];
};
const low = [];
for (const node of document.querySelectorAll("body *")) {
  const has_text = [...node.childNodes].some((c) => c.nodeType === 3 && c.textContent.trim());
  const style = getComputedStyle(node);
  if (!has_text || !node.offsetParent || node.closest(".unseen, .skip, noscript, :disabled")) continue;
  const [a, b] = [light(numbers(style.color)), light(ground(node))].sort((x, y) => y - x);
  const contrast = (a + 0.05) / (b + 0.05);
  if (contrast < 4.5) low.push(`${node.tagName} ${node.className}: ${contrast.toFixed(2)}`);
}
return low;
"""
_OVERFLOW = """
const width = document.documentElement.clientWidth;
const out = [...document.querySelectorAll("body *")].filter((node) => {
  const box = node.getBoundingClientRect();
  return box.width && box.right > width + 0.5 && !node.closest(".unseen, .skip, pre");
}).map((node) => `${node.tagName}.${node.className} ${node.getBoundingClientRect().right}`);
return document.documentElement.scrollWidth > width ? out.concat(["scrolls"]) : out;
"""
_UNNAMED = """
const named = (node) => (node.getAttribute("aria-label") || node.textContent || "").trim() ||
  node.getAttribute("aria-labelledby") || (node.labels && node.labels.length);
return [...document.querySelectorAll("button, a, input, img, [role=img], [role=meter], section")]
  .filter((node) => !node.closest("[hidden]") && (node.tagName === "IMG" ? !node.alt : !named(node)))
  .map((node) => node.outerHTML.slice(0, 120));
"""


class Browser:
    """Console messages are collected; the page's own errors must not be among them."""

    def __init__(self, folder):
        self.folder = pathlib.Path(os.environ.get("M2B_SCREENSHOTS", folder))
        self.folder.mkdir(parents=True, exist_ok=True)
        options = Options()
        options.binary_location = shutil.which("chromium") or "/usr/bin/chromium"
        for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
                         "--disable-dev-shm-usage", "--disable-extensions", "--no-first-run",
                         "--disable-background-networking", "--disable-component-update",
                         f"--user-data-dir={folder / 'profile'}"):  # fmt: skip
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        driver = shutil.which("chromedriver") or "/usr/bin/chromedriver"
        self._driver = webdriver.Chrome(service=Service(driver), options=options)
        self._driver.set_page_load_timeout(20)
        self._driver.set_script_timeout(20)
        self.look()

    def close(self):
        self._driver.quit()

    def _command(self, name, **parameters):
        self._driver.execute_cdp_cmd(name, parameters)

    def look(self, size=DESKTOP, dark=False, still=True):
        """The size of the window, and what its user prefers."""
        width, height = size
        self._command("Emulation.setDeviceMetricsOverride", width=width, height=height,
                      deviceScaleFactor=1, mobile=size == PHONE)  # fmt: skip
        features = [
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
            {"name": "prefers-reduced-motion", "value": "reduce" if still else "no-preference"},
        ]
        self._command("Emulation.setEmulatedMedia", features=features)

    @contextlib.contextmanager
    def without_scripts(self):
        self._command("Emulation.setScriptExecutionDisabled", value=True)
        try:
            yield
        finally:
            self._command("Emulation.setScriptExecutionDisabled", value=False)

    def open(self, url):
        self._driver.get(url)

    def run(self, script, *arguments):
        return self._driver.execute_script(script, *arguments)

    def find(self, css):
        return self._driver.find_element(By.CSS_SELECTOR, css)

    def find_all(self, css):
        return self._driver.find_elements(By.CSS_SELECTOR, css)

    def text(self, css="body"):
        return self.find(css).text

    def wait_for(self, css, pattern, within=20):
        """Until the text of the element matches the compiled pattern; returns it."""
        read = lambda: self.run(  # noqa: E731
            "const n = document.querySelector(arguments[0]); return n && n.textContent;", css
        )
        wait_until(
            lambda: pattern.search(read() or ""), within, lambda: f"{pattern.pattern}: {read()!r}"
        )
        return read()

    def press(self, button_text, within="body"):
        """Clicks on the first button of that text."""
        for button in self.find_all(f"{within} button"):
            if button.text == button_text:
                button.click()
                return
        raise AssertionError(f"no button {button_text!r} in {self.text(within)!r}")

    def type(self, keys):
        """On the keyboard: it goes to what has the focus."""
        ActionChains(self._driver).send_keys(keys).perform()

    def focused(self):
        """What a person would call the element that has the focus."""
        return self.run(
            "const n = document.activeElement; return (n.textContent || n.id).trim();"
        )

    def errors(self):
        """What the console said since it was asked last."""
        return [entry["message"] for entry in self._driver.get_log("browser")
                if entry["level"] in ("SEVERE", "WARNING")]  # fmt: skip

    def screenshot(self, name):
        """The whole page, however long."""
        height = self.run("return document.documentElement.scrollHeight")
        width = self.run("return document.documentElement.clientWidth")
        self._command("Emulation.setDeviceMetricsOverride", width=width, height=height,
                      deviceScaleFactor=1, mobile=False)  # fmt: skip
        path = self.folder / f"{name}.png"
        self._driver.save_screenshot(str(path))
        return path

    def flaws(self):
        """What is wrong with the page as it stands, for eyes, small screens and screen readers."""
        return (
            [f"contrast: {each}" for each in self.run(_LOW_CONTRAST)]
            + [f"sticks out: {each}" for each in self.run(_OVERFLOW)]
            + [f"no name: {each}" for each in self.run(_UNNAMED)]
        )
