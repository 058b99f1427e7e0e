"""The published measurements: what is run, and how it becomes tables and pictures.

published.py measure BENCH RESULTS ROUNDS SHARE [PEER]
    runs all of them, in turn, so that a machine which slows down slows all of them;
    a line of JSON each
published.py print RESULTS
    the tables
published.py document RESULTS DOCUMENT
    the same between the marks of a document, and the pictures beside it
"""

import json
import pathlib
import platform
import statistics
import subprocess
import sys
from datetime import date

_SIZES = {"1KiB": 20_000, "100KiB": 5_000, "1MiB": 1_000}  # messages of each
_BEGIN, _END = "<!-- tables of scripts/bench -->", "<!-- end of tables -->"


def _pipeline(store, size, *more):
    return ["pipeline", "--store", store, "--size", size, *more]


_STORES = ("minio", "discard")


def _experiments(peer):
    """(name, size) -> the bench's arguments, and how many messages."""
    for size, messages in _SIZES.items():
        yield ("minio", size), _pipeline("minio", size), messages // 2
        yield ("discard", size), _pipeline("discard", size), messages
        yield ("receive", size), ["receive", "--size", size], messages
        yield ("slow disk", size), ["receive", "--sync-delay", "10", "--size", size], messages // 2
    for store in _STORES:
        yield (f"latency {store}", "100KiB"), _pipeline(store, "100KiB", "--rate", "20"), 600
    for store in _STORES if peer else ():
        for size, messages in _SIZES.items():
            yield (f"peer {store}", size), _pipeline(store, size, "--peer", peer), messages // 2
        paced = _pipeline(store, "100KiB", "--rate", "20", "--peer", peer)
        yield (f"peer latency {store}", "100KiB"), paced, 300


def measure(bench, results, rounds, share, peer):
    commit = _commit()
    with open(results, "w") as file:
        for number in range(1, rounds + 1):
            for (name, size), arguments, messages in _experiments(peer):
                print(f"round {number} of {rounds}: {name}, {size}", file=sys.stderr, flush=True)
                count = str(max(1, messages * share // 100))
                text = _output(bench, *arguments, "--messages", count, "--json", "-")
                (run,) = json.loads(text)["runs"]
                row = {"name": name, "size": size, "commit": commit, "share": share, "run": run}
                file.write(json.dumps(row) + "\n")
                file.flush()


def _commit():
    here = pathlib.Path(__file__).parent
    command = ["git", "-C", here, "describe", "--always", "--dirty"]
    described = subprocess.run(command, capture_output=True, text=True)
    return described.stdout.strip() or "unknown"


def _output(*command):
    return subprocess.run(
        command, check=True, stdout=subprocess.PIPE, text=True
    ).stdout.strip()


class Medians:
    """Of all rounds, by experiment, size and the path of a value in the bench's JSON."""

    def __init__(self, results):
        self._rows = [json.loads(line) for line in results.read_text().splitlines()]

    def __call__(self, name, size, *path):
        return statistics.median(self._values(name, size, path))

    def spread(self, name, size, *path):
        values = self._values(name, size, path)
        return min(values), max(values)

    def _values(self, name, size, path):
        values = []
        for row in self._rows:
            if (row["name"], row["size"]) == (name, size):
                value = row["run"]
                for step in path:
                    value = value[step]
                values.append(sum(value.values()) if isinstance(value, dict) else value)
        return values

    def has(self, name):
        return any(row["name"] == name for row in self._rows)

    def rounds(self):
        return len(self._values("minio", "1KiB", ("messages",)))

    def commit(self):
        return self._rows[0]["commit"]


_CPU = ("cpu_seconds_per_1000", "bridge")


def tables(medians):
    return "\n".join(
        [
            _throughput(medians, "minio", "Into MinIO", "bare PUTs"),
            _throughput(medians, "discard", "Into a store that discards", "bare PUTs"),
            _receive(medians, "receive", "Receiving while the store is away"),
            _receive(medians, "slow disk", "The same with 10 ms more for each sync"),
            _latency(medians),
            *(_peer(medians) if medians.has("peer minio") else []),
        ]
    )


def _throughput(medians, name, title, limit):
    lines = [
        f"**{title}.** The ratio is the median of the ratios of each run.\n",
        f"| picture | messages/s | {limit}/s | ratio | CPU s per 1,000 (lowest to highest) | peak MiB |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for size in _SIZES:
        low, high = medians.spread(name, size, *_CPU)
        lines.append(
            f"| {size} | {medians(name, size, 'messages_per_second'):.0f} "
            f"| {medians(name, size, 'limit_puts_per_second'):.0f} "
            f"| {medians(name, size, 'ratio_to_limit'):.2f} "
            f"| {medians(name, size, *_CPU):.2f} ({low:.2f} to {high:.2f}) "
            f"| {medians(name, size, 'bridge_peak_private_bytes') / 2**20:.1f} |"
        )
    return "\n".join(lines) + "\n"


def _receive(medians, name, title):
    lines = [
        f"**{title}**, against a bare loop of write and `fdatasync`, one sync a message.\n",
        "| picture | messages/s | bare syncs/s | ratio | CPU s per 1,000 | peak MiB |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for size in _SIZES:
        lines.append(
            f"| {size} | {medians(name, size, 'messages_per_second'):.0f} "
            f"| {medians(name, size, 'limit_writes_per_second'):.0f} "
            f"| {medians(name, size, 'ratio_to_limit'):.2f} "
            f"| {medians(name, size, *_CPU):.2f} "
            f"| {medians(name, size, 'bridge_peak_private_bytes') / 2**20:.1f} |"
        )
    return "\n".join(lines) + "\n"


def _latency(medians):
    lines = [
        "**Latency** at 20 pictures of 100 KiB a second, from publish to the store's answer.\n",
        "| store | p50 ms | p99 ms | max ms |",
        "| --- | --- | --- | --- |",
    ]
    for store in ("minio", "discard"):
        values = [medians(f"latency {store}", "100KiB", "latency", key)
                  for key in ("p50_ms", "p99_ms", "max_ms")]  # fmt: skip
        lines.append(f"| {store} | " + " | ".join(f"{value:.1f}" for value in values) + " |")
    return "\n".join(lines) + "\n"


_PEERS = {"none": "peer", "sqlite": "peer, queue on disk"}


def _peer(medians):
    yield "\n".join(
        [
            "**Beside a peer, in the same run.** Each ratio is ours to the peer's, the median of "
            "those of each run.\n",
            "| store, picture | bridge | messages/s | ratio | CPU s per 1,000 | ratio | peak MiB "
            "| ratio |",
            "| --- | --- | --- | --- | --- | --- | --- | --- |",
            *(
                row
                for store in _STORES
                for size in _SIZES
                for row in _beside(medians, f"peer {store}", size, f"{store}, {size}", _COSTS)
            ),
        ]
    ) + "\n"
    yield "\n".join(
        [
            "**Its latency** at 20 pictures of 100 KiB a second.\n",
            "| store | bridge | p50 ms | ratio | p99 ms | ratio |",
            "| --- | --- | --- | --- | --- | --- |",
            *(
                row
                for store in _STORES
                for row in _beside(medians, f"peer latency {store}", "100KiB", store, _LATENCIES)
            ),
        ]
    ) + "\n"


# What is shown of a bridge: the path of its value, the name of its ratio, and how the value is
# written, in which unit.
_COSTS = (
    (("messages_per_second",), "messages_per_second", "{:.0f}", 1),
    (_CPU, "cpu", "{:.2f}", 1),
    (("bridge_peak_private_bytes",), "peak_private_bytes", "{:.1f}", 2**20),
)
_LATENCIES = (
    (("latency", "p50_ms"), "p50", "{:.1f}", 1),
    (("latency", "p99_ms"), "p99", "{:.1f}", 1),
)


def _beside(medians, name, size, title, columns):
    """A row for ours and one for each kind of peer."""

    def value(at, column):
        path, _, form, unit = column
        return form.format(medians(name, size, *at, *path) / unit)

    yield f"| {title} | ours | " + " | ".join(f"{value((), column)} |" for column in columns) + " |"
    for queue, peer in _PEERS.items():
        at = ("peers", queue)
        cells = [
            f"{value(at, column)} | {medians(name, size, *at, 'ours_to_peer', column[1]):.2f}"
            for column in columns
        ]
        yield f"| | {peer} | " + " | ".join(cells) + " |"


_COLOURS = {"minio": "#2f6fb0", "discard": "#c0632b", "bare PUTs into MinIO": "#888888"}


def bar_chart(title, unit, series):
    """An SVG of grouped bars, each group on a scale of its own: the sizes are far apart.

    `series`: name -> one value for each size."""
    width, height, left, top, room = 720, 300, 20, 56, 180
    group_width = (width - 2 * left) / len(_SIZES)
    bar_width = group_width * 0.7 / len(series)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{title}" font-family="sans-serif" font-size="13">',
        '<rect width="100%" height="100%" fill="#ffffff"/>',
        f'<text x="{left}" y="22" font-size="15" fill="#222222">{title}, {unit}</text>',
    ]
    x = left
    for name in series:
        parts.append(f'<rect x="{x}" y="32" width="11" height="11" fill="{_COLOURS[name]}"/>')
        parts.append(f'<text x="{x + 16}" y="42" fill="#222222">{name}</text>')
        x += 40 + 8 * len(name)
    for group, size in enumerate(_SIZES):
        middle = left + group_width * (group + 0.5)
        highest = max(values[group] for values in series.values())
        begin = middle - bar_width * len(series) / 2
        for i, (name, values) in enumerate(series.items()):
            bar = room * values[group] / highest
            bar_x, bar_y = begin + i * bar_width, top + 18 + room - bar
            parts.append(
                f'<rect x="{bar_x + 2:.1f}" y="{bar_y:.1f}" width="{bar_width - 4:.1f}" '
                f'height="{bar:.1f}" fill="{_COLOURS[name]}"/>'
            )
            parts.append(
                f'<text x="{bar_x + bar_width / 2:.1f}" y="{bar_y - 4:.1f}" fill="#222222" '
                f'text-anchor="middle">{_number(values[group])}</text>'
            )
        parts.append(
            f'<text x="{middle:.1f}" y="{height - 18}" fill="#222222" text-anchor="middle">'
            f"{size}</text>"
        )
    return "\n".join([*parts, "</svg>"]) + "\n"


def _number(value):
    return f"{value:.0f}" if value >= 100 else f"{value:.2g}"


def pictures(medians):
    def per_size(name, *path):
        return [medians(name, size, *path) for size in _SIZES]

    yield (
        "throughput.svg",
        bar_chart(
            "Throughput",
            "messages a second",
            {
                "minio": per_size("minio", "messages_per_second"),
                "bare PUTs into MinIO": per_size("minio", "limit_puts_per_second"),
                "discard": per_size("discard", "messages_per_second"),
            },
        ),
    )
    yield (
        "cpu.svg",
        bar_chart(
            "Processor time of the bridge",
            "seconds per 1,000 messages",
            {"minio": per_size("minio", *_CPU), "discard": per_size("discard", *_CPU)},
        ),
    )


def document(results, path):
    medians = Medians(results)
    before, rest = path.read_text().split(_BEGIN)
    _, after = rest.split(_END)
    machine = f"{platform.system()} {platform.release()}, {_processors()}"
    head = (
        f"Commit {medians.commit()}, {date.today().isoformat()}, medians of {medians.rounds()}; "
        f"{machine}.\n"
    )
    path.write_text(f"{before}{_BEGIN}\n{head}\n{tables(medians)}{_END}{after}")
    folder = path.parent / "performance"
    folder.mkdir(exist_ok=True)
    for name, text in pictures(medians):
        (folder / name).write_text(text)


def _processors():
    lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{len(names)} processors ({names[0] if names else platform.machine()})"


def main(command, *arguments):
    if command == "measure":
        bench, results, rounds, share, *peer = arguments
        measure(bench, pathlib.Path(results), int(rounds), int(share), "".join(peer))
    elif command == "print":
        print(tables(Medians(pathlib.Path(arguments[0]))))
    elif command == "document":
        document(*map(pathlib.Path, arguments))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(*sys.argv[1:])
