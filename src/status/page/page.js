// Shows what /status says, as long as somebody looks. All text goes in as text, never as HTML: much
// of it comes from messages.
"use strict";

const PERIOD = 3000; // ms between two looks
const PATIENCE = 8000; // ms for an answer
const WORDS = { well: "Well", attention: "Attention", trouble: "Trouble", unknown: "No answer" };

const byId = (id) => document.getElementById(id);

let token = ""; // only here: never stored, never in a cookie or an address
let last = null; // the last document of /status
let lastAt = null; // when it came
let announced = ""; // what was last told to screen readers
let timer = 0;

function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

function mark(health) {
  const name = byId("state-mark").namespaceURI;
  const svg = document.createElementNS(name, "svg");
  const use = document.createElementNS(name, "use");
  svg.setAttribute("class", `mark is-${health}`);
  svg.setAttribute("aria-hidden", "true");
  use.setAttribute("href", `#mark-${health}`);
  svg.append(use);
  return svg;
}

// A number and its unit stay on one line.
const tied = (text) => text.replace(/(\d) (?=(?:s|min|h|d|B|[kMGTP]B)\b)/g, "$1\u00a0");

function put(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// Numbers as words.

const count = (number) => Math.round(number).toLocaleString("en-US");
const plural = (number, one, many) => `${count(number)} ${number === 1 ? one : many}`;

function bytes(number) {
  const units = ["B", "kB", "MB", "GB", "TB", "PB"];
  let unit = 0;
  while (number >= 999.5 && unit + 1 < units.length) {
    number /= 1000;
    ++unit;
  }
  return `${number < 9.95 && unit > 0 ? number.toFixed(1) : number.toFixed(0)} ${units[unit]}`;
}

function rate(number) {
  if (number < 0.005) return "0";
  return number < 0.995 ? number.toFixed(2) : number < 9.95 ? number.toFixed(1) : number.toFixed(0);
}

function span(seconds) {
  const two = (large, largeUnit, small, smallUnit) =>
    small ? `${large} ${largeUnit} ${small} ${smallUnit}` : `${large} ${largeUnit}`;
  seconds = Math.max(0, Math.floor(seconds));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return minutes < 3 ? two(minutes, "min", seconds % 60, "s") : `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return two(hours, "h", minutes % 60, "min");
  return two(Math.floor(hours / 24), "d", hours % 24, "h");
}

const clock = (ms) =>
  new Date(ms).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const moment = (ms) => {
  const at = new Date(ms);
  const day = at.toDateString() === new Date().toDateString()
    ? "" : `${at.toLocaleDateString("en-GB", { day: "numeric", month: "short" })}, `;
  return day + clock(ms);
};

function plain(topic) { // metadata has it percent-encoded
  try {
    return decodeURIComponent(topic);
  } catch {
    return topic;
  }
}

// The parts of the page.

function showVerdict(status) {
  document.documentElement.dataset.state = status.state;
  put(byId("state-word"), WORDS[status.state]);
  byId("state-mark").setAttribute("href", `#mark-${status.state}`);
  put(byId("sentence"), tied(status.sentence));
  document.title = `${WORDS[status.state]}: ${status.store.bucket} · mqtt-to-blob`;
  // Told when something has changed, not with each minute that it lasts.
  const news = [status.state, ...status.warnings.map((warning) => warning.id)].join(" ");
  if (news !== announced) {
    if (announced) put(byId("announcement"), `${WORDS[status.state]}. ${status.sentence}`);
    announced = news;
  }
}

function showWarnings(warnings) {
  byId("todo").hidden = warnings.length === 0;
  const list = byId("warnings");
  const text = JSON.stringify(warnings);
  if (list.dataset.text === text) return;
  list.dataset.text = text;
  list.replaceChildren(...warnings.map((warning) => make("li", { class: "warning" },
    mark(warning.severity),
    make("h3", {}, tied(warning.title)),
    make("p", {}, tied(warning.cause)),
    make("p", { class: "remedy" }, warning.remedy))));
}

function showStage(name, { how, fact, wire = "", flows = false, broken = false }, health) {
  const stage = document.querySelector(`[data-stage="${name}"]`);
  stage.dataset.health = health;
  put(stage.querySelector(".how"), how);
  put(stage.querySelector(".fact"), fact);
  const wireText = stage.querySelector(".wire");
  if (wireText) put(wireText, wire);
  stage.toggleAttribute("data-flows", flows && !broken);
  stage.toggleAttribute("data-broken", broken);
}

function showStages(status) {
  const { broker, queue, store, rates, stages } = status;
  const waiting = queue.accounts.waiting;
  const joined = broker.connected && broker.subscribed;
  const open = queue.intake === "open";
  const away = store.state === "away" || store.state === "blocked";
  const comes = rates.in_per_second > 0;
  const goes = rates.out_per_second > 0 && !away;
  const intakeWords = {
    open: "takes pictures", at_cap: "full", at_floor: "disk full", disk_full: "disk full",
    disk_error: "disk fails",
  };
  const storeWords = {
    unknown: "not asked yet",
    reachable: store.refused_messages ? "refuses some" : "takes pictures",
    away: store.trouble && store.trouble.http_status ? "takes none now" : "unreachable",
    blocked: "refuses us",
  };
  showStage("broker", {
    how: joined ? "connected" : broker.connected ? "not subscribed" : "not connected",
    fact: broker.address, flows: comes, broken: !joined || !open,
  }, stages.broker);
  showStage("queue", {
    how: open ? (waiting ? `${count(waiting)} waiting` : "empty") : intakeWords[queue.intake],
    fact: waiting ? bytes(queue.accounts.waiting_bytes) : open ? intakeWords.open : "nothing waits",
    wire: `${rate(rates.in_per_second)} /s`, flows: goes,
  }, stages.queue);
  const dead = status.dead_letters.kept;
  showStage("decode", {
    how: dead ? plural(dead, "dead letter", "dead letters") : "no dead letters",
    fact: "", flows: goes,
  }, stages.decode);
  showStage("upload", {
    how: away ? "waits for the store" : `${bytes(rates.out_bytes_per_second)}/s`,
    fact: status.warnings.some((warning) => warning.id === "clock_wrong")
      ? "by the store's clock" : `up to ${count(store.slots)} at a time`,
    flows: goes, broken: away,
  }, stages.upload);
  showStage("store", {
    how: storeWords[store.state], fact: `${store.bucket} at ${store.address}`,
    wire: `${rate(rates.out_per_second)} /s`,
  }, store.state === "unknown" ? "unknown" : stages.store);
}

function showOverwritten({ store }) {
  const { recent_uploads: uploads, recent_keys: keys } = store.overwritten;
  const note = byId("overwritten");
  note.hidden = keys === uploads;
  put(note, `The last ${plural(uploads, "picture", "pictures")} went under ${plural(keys, "key", "keys")}: ` +
    "of those with one key only the last is in the bucket.");
}

function showQueue(status) {
  const { queue, forecast, stages, store } = status;
  const waiting = queue.accounts.waiting;
  put(byId("queue-waiting"), count(waiting));
  put(byId("queue-unit"), waiting === 1 ? "picture waits" : "pictures wait");
  const known = queue.used_bytes !== null;
  const all = known ? queue.used_bytes + queue.left_bytes : 0;
  const none = known && queue.left_bytes === 0; // also where nothing is used and nothing left
  const percent = none ? 100 : all > 0 ? (100 * queue.used_bytes) / all : 0;
  const gauge = byId("gauge");
  gauge.dataset.health = stages.queue;
  gauge.setAttribute("aria-valuenow", percent.toFixed(0));
  gauge.setAttribute("aria-valuetext", known ? `${bytes(queue.used_bytes)} of ${bytes(all)}` : "unknown");
  byId("gauge-fill").style.width = `${percent}%`;
  put(byId("gauge-used"), known ? `${bytes(queue.used_bytes)} used` : "The disk does not answer");
  const limit = queue.bound === "at_cap" ? " (SPOOL_MAX_BYTES)" : "";
  const room = none || queue.intake !== "open" ? "no room left" : `room for ${bytes(queue.left_bytes)} more`;
  put(byId("gauge-all"), known ? room + limit : "");
  let words = "";
  if (queue.intake !== "open") words = "Full: no new pictures are taken.";
  else if (forecast.full_in_seconds !== null) words = `At the present rate full in ${span(forecast.full_in_seconds)}.`;
  else if (forecast.empty_in_seconds !== null) {
    const what = store.refused_messages ? "all but the refused ones leave" : "empty";
    words = `At the present rate ${what} in ${span(forecast.empty_in_seconds)}.`;
  } else if (!waiting) words = "Nothing waits.";
  if (queue.oldest_age_seconds >= 5) words += ` The oldest picture has waited for ${span(queue.oldest_age_seconds)}.`;
  put(byId("forecast"), words);
}

function drawSpark(id, values, now, unit) {
  const figure = byId(id);
  const words = figure.querySelector("figcaption span").textContent;
  put(figure.querySelector("b"), now);
  const width = 360;
  const height = 48;
  const top = Math.max(...values, 0);
  const x = (index) => width - (values.length - 1 - index);
  const y = (value) => height - 1 - (top > 0 ? (value / top) * (height - 5) : 0);
  const points = values.map((value, index) => `${x(index).toFixed(1)} ${y(value).toFixed(1)}`);
  const line = points.length > 1 ? `M${points.join("L")}` : "";
  figure.querySelector(".line").setAttribute("d", line);
  figure.querySelector(".area").setAttribute(
    "d", line ? `${line}L${width} ${height}L${x(0).toFixed(1)} ${height}Z` : "");
  put(figure.querySelector("title"),
    `${words}: ${now} now, at most ${unit(top)} in the time shown`);
}

function showHour(status) {
  const { history, rates, queue } = status;
  const perSecond = (number) => `${rate(number)} /s`;
  drawSpark("spark-in", history.in_per_second, perSecond(rates.in_per_second), perSecond);
  drawSpark("spark-out", history.out_per_second, perSecond(rates.out_per_second), perSecond);
  drawSpark("spark-backlog", history.backlog, count(queue.accounts.waiting), count);
  const shown = Math.min(3600, history.backlog.length * history.step_seconds);
  put(byId("hour-begin"), shown >= 3600 ? "an hour ago" : shown ? `${span(shown)} ago` : "");
}

const REASONS = {
  not_json: "Not JSON", missing_field: "Field missing", wrong_type: "Wrong type",
  bad_base64: "Bad base64", bad_key: "No possible key", too_large: "Too large",
  damaged: "Damaged on disk", rejected_by_store: "Refused by the store",
  key_lost: "Its key is lost",
};

function letterRow(letter, access) {
  const known = letter.readable;
  const where = known ? `${letter.topic} · ${moment(letter.received_at_ms)} · ` : "";
  const size = known ? letter.payload_bytes : letter.bytes;
  const title = make("h3", { id: `letter-${letter.id}` }, REASONS[letter.reason] || letter.reason);
  const deeds = make("div", { class: "deeds" });
  const row = make("li", { class: "letter", "data-id": letter.id },
    make("div", {}, title,
      make("p", { class: "detail" }, letter.detail || "No detail"),
      make("p", {}, `${where}${bytes(size)} · no. ${letter.id}`)),
    deeds);
  const button = (text, deed) => {
    const node = make("button", { type: "button", "aria-describedby": title.id }, text);
    node.addEventListener("click", () => deed(node));
    deeds.append(node);
  };
  if (access.content !== "closed") {
    button("Look inside", (node) => togglePayload(row, node, letter.id));
  }
  if (access.actions) {
    button("Replay", () => act("replay", letter.id, row));
    button("Drop", (node) => {
      if (node.classList.contains("final")) return act("drop", letter.id, row);
      node.classList.add("final");
      put(node, "Drop for good?");
      node.addEventListener("blur", () => {
        node.classList.remove("final");
        put(node, "Drop");
      }, { once: true });
      return undefined;
    });
  }
  return row;
}

function showLetters(status) {
  const { kept, latest } = status.dead_letters;
  const { access } = status;
  byId("letters-section").hidden = kept === 0 && !byId("told").textContent;
  byId("token-form").hidden = !access.actions && access.content !== "token";
  const ways = access.actions ? "" :
    " To replay or drop them here, set STATUS_TOKEN; or use mqtt-to-blob dead-letter.";
  put(byId("letters-lead"), kept === 0 ? "None." :
    `${plural(kept, "message", "messages")} could not become ${kept === 1 ? "a picture and is" : "pictures and are"} kept` +
    `${kept > latest.length ? `; the latest ${latest.length} are here` : ""}.${ways}`);
  const list = byId("letters");
  const ids = new Set(latest.map((letter) => String(letter.id)));
  for (const row of [...list.children]) {
    if (!ids.has(row.dataset.id)) row.remove();
  }
  latest.forEach((letter, index) => {
    const at = list.children[index];
    if (at && at.dataset.id === String(letter.id)) return;
    const there = list.querySelector(`[data-id="${letter.id}"]`);
    list.insertBefore(there || letterRow(letter, access), at || null);
  });
}

function showPictures(status) {
  const { pictures, access } = status;
  const section = byId("pictures-section");
  section.hidden = pictures.length === 0;
  const lead = byId("pictures-lead");
  lead.hidden = access.content !== "token" || token !== "";
  put(lead, "To see them, enter the token.");
  if (!lead.hidden) byId("token-form").hidden = false;
  if (!lead.hidden) byId("letters-section").hidden = false;
  const list = byId("pictures");
  const numbers = new Set(pictures.map((picture) => String(picture.number)));
  for (const item of [...list.children]) {
    if (!numbers.has(item.dataset.number)) {
      const image = item.querySelector("img");
      if (image) URL.revokeObjectURL(image.src);
      item.remove();
    }
  }
  for (const picture of [...pictures].reverse()) {
    if (list.querySelector(`[data-number="${picture.number}"]`)) continue;
    const item = make("li", { "data-number": picture.number },
      make("figure", {}, make("div", { class: "blank" }),
        make("figcaption", {}, make("b", { title: picture.key }, picture.key),
          `${clock(picture.stored_at_ms)} · ${bytes(picture.bytes)}`,
          make("br"), plain(picture.topic))));
    list.prepend(item);
    loadPicture(item, picture);
  }
}

async function loadPicture(item, picture) {
  const blank = item.querySelector(".blank");
  if (!blank || (last && last.access.content === "token" && !token)) return;
  try {
    const answer = await ask(`/pictures/${picture.number}`);
    if (!answer.ok || !item.isConnected) return;
    const image = make("img", { alt: `Picture ${picture.key}`, decoding: "async" });
    const url = URL.createObjectURL(await answer.blob());
    image.addEventListener("error", () => { // a picture that no browser can show
      URL.revokeObjectURL(url);
      image.replaceWith(make("div", { class: "blank", role: "img", "aria-label": `Picture ${picture.key}, which cannot be shown` },
        "cannot be shown here"));
    });
    image.src = url;
    blank.replaceWith(image);
  } catch {
    // The next look shows whether the daemon answers.
  }
}

// Asking the daemon.

function ask(path, options = {}) {
  const headers = { ...options.headers };
  if (token) headers.Authorization = `Bearer ${token}`;
  return fetch(path, {
    ...options, headers, cache: "no-store", credentials: "omit", signal: AbortSignal.timeout(PATIENCE),
  });
}

function tell(text) {
  put(byId("told"), text);
  byId("letters-section").hidden = false;
}

async function why(answer) {
  const text = await answer.text();
  try {
    return JSON.parse(text).error || text;
  } catch {
    return text;
  }
}

async function togglePayload(row, button, id) {
  const open = row.querySelector(".payload");
  if (open) {
    open.remove();
    put(button, "Look inside");
    button.setAttribute("aria-expanded", "false");
    return;
  }
  try {
    const answer = await ask(`/dead-letters/${id}`);
    if (!answer.ok) {
      tell(answer.status === 401 ? "To look inside, enter the token." : await why(answer));
      if (answer.status === 401) byId("token").focus();
      return;
    }
    const letter = await answer.json();
    const isText = letter.text !== undefined;
    const shown = isText ? letter.text : letter.hex.replace(/(..)/g, "$1 ").trim();
    const rest = letter.shown_bytes < letter.payload_bytes
      ? `the first ${bytes(letter.shown_bytes)} of ${bytes(letter.payload_bytes)}` : `all ${bytes(letter.payload_bytes)}`;
    row.append(make("div", { class: "payload" },
      make("p", {}, `As it came: ${rest}${isText ? "" : ", in hexadecimal digits"}`),
      make("pre", { tabindex: "0", "aria-label": `Payload of dead letter ${id}` }, shown || "(empty)")));
    put(button, "Hide");
    button.setAttribute("aria-expanded", "true");
  } catch {
    tell("mqtt-to-blob does not answer.");
  }
}

async function act(deed, id, row) {
  if (!token) {
    tell(`To ${deed} it, enter the token first.`);
    byId("token").focus();
    return;
  }
  const buttons = row.querySelectorAll("button");
  buttons.forEach((button) => { button.disabled = true; });
  try {
    const answer = await ask(`/dead-letters/${deed}`, {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ ids: [id] }),
    });
    if (answer.status === 401) {
      tell("That is not the token.");
    } else if (!answer.ok) {
      tell(await why(answer));
    } else {
      const { moved, damaged, under_way: underWay } = await answer.json();
      const past = deed === "replay" ? "back in the queue" : "dropped";
      tell(underWay ? `No. ${id}: under way, the disk is slow.`
        : moved ? `No. ${id} is ${past}.`
          : damaged && damaged.length ? `No. ${id} is damaged and cannot be replayed.`
            : `No. ${id} is not there any more.`);
      await look();
    }
  } catch {
    tell("mqtt-to-blob does not answer.");
  }
  buttons.forEach((button) => { button.disabled = false; });
}

// The page as a whole.

function show(status) {
  showVerdict(status);
  showWarnings(status.warnings);
  showStages(status);
  showQueue(status);
  showHour(status);
  showLetters(status);
  showOverwritten(status);
  showPictures(status);
  put(byId("up"), span(status.up_seconds));
  put(byId("fresh"), `as of ${clock(lastAt)}`);
  for (const section of document.querySelectorAll(".live[hidden]")) {
    if (section.id !== "letters-section" && section.id !== "pictures-section") section.hidden = false;
  }
}

// What is known is old from now on: it is grey, and its age is told.
function showSilence() {
  const title = "mqtt-to-blob does not answer";
  const since = lastAt ? ` What is below is ${span((Date.now() - lastAt) / 1000)} old, from ${moment(lastAt)}.` : "";
  put(byId("sentence"), tied(`${title}: it has stopped, or this device does not reach its machine.${since}`));
  if (announced === "silence") return;
  announced = "silence";
  document.documentElement.dataset.state = "unknown";
  put(byId("state-word"), WORDS.unknown);
  byId("state-mark").setAttribute("href", "#mark-unknown");
  put(byId("announcement"), `${title}.`);
  document.title = "No answer · mqtt-to-blob";
  showWarnings([{
    severity: "unknown",
    title,
    cause: "Pictures that it had taken are safe on its disk; new ones wait at the broker, as long as that keeps them.",
    remedy: "See whether its machine is on and whether this device is in the same network. Then, on that machine, " +
      "whether it runs (docker ps, or systemctl status mqtt-to-blob) and what its log says.",
  }]);
}

async function look() {
  clearTimeout(timer);
  try {
    const answer = await ask("/status");
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    last = await answer.json();
    lastAt = Date.now();
    show(last);
  } catch {
    showSilence();
  }
  clearTimeout(timer);
  if (!document.hidden) timer = setTimeout(look, PERIOD);
}

byId("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  token = byId("token").value.trim();
  byId("token").value = "";
  put(byId("token-hint"), token ? "The token is in use until this page is closed." : "No token is in use.");
  put(byId("told"), "");
  for (const item of byId("pictures").children) {
    const picture = last && last.pictures.find((each) => String(each.number) === item.dataset.number);
    if (picture) loadPicture(item, picture);
  }
  look();
});
document.addEventListener("visibilitychange", () => {
  clearTimeout(timer);
  if (!document.hidden) look();
});
look();
