"""The bench tool runs and counts right; how fast anything is, is not judged."""

import datetime
import hashlib
import json
import os
import pathlib
import signal
import subprocess
import sys
from xml.etree import ElementTree

import pytest

from harness.bridge import bridge_binary
from harness.programs import REPOSITORY
from harness.waiting import wait_until


def bench_command(*arguments):
    binary = bridge_binary().with_name("mqtt-to-blob-bench")
    assert os.access(binary, os.X_OK), f"no bench at {binary}: build it"
    return [binary, *arguments]


def run(folder, *arguments):
    return subprocess.run(
        bench_command(*arguments), cwd=folder, capture_output=True, text=True, timeout=60
    )


def results(folder, *arguments):
    """What --json says; and that the bench leaves nothing behind."""
    done = run(folder, *arguments, "--json", "-")
    assert done.returncode == 0, done.stderr
    assert list(folder.iterdir()) == []
    report = json.loads(done.stdout)
    assert report["command"] == arguments[0]
    return report["runs"]


def children(pid):
    text = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in text.split()]


def test_pipeline_stores_every_message(tmp_path):
    (one,) = results(
        tmp_path, "pipeline", "--store", "discard", "--messages", "50", "--size", "1KiB"
    )
    assert (one["size_bytes"], one["messages"], one["stored"]) == (1024, 50, 50)
    assert 0 < one["publish_seconds"] <= one["seconds"]
    assert one["messages_per_second"] == pytest.approx(50 / one["seconds"])
    assert one["ratio_to_limit"] == pytest.approx(
        one["messages_per_second"] / one["limit_puts_per_second"]
    )
    assert one["bridge_peak_private_bytes"] > 0
    assert one["publisher_limited"] in (True, False)
    assert one["latency"] is None
    assert one["answers_per_second"] is None  # nobody asked
    assert one["peers"] == {}
    assert set(one["cpu_seconds_per_1000"]) == {"bridge", "broker", "store", "bench"}
    for cpu in one["cpu_seconds_per_1000"].values():
        assert cpu["user"] >= 0 and cpu["system"] >= 0


@pytest.mark.parametrize("delay", ["0", "10"])
def test_receive_counts_what_is_on_disk(tmp_path, delay):
    (one,) = results(
        tmp_path, "receive", "--messages", "50", "--size", "1KiB", "--sync-delay", delay
    )
    assert (one["size_bytes"], one["messages"], one["sync_delay_ms"]) == (1024, 50, int(delay))
    assert 0 < one["publish_seconds"] <= one["seconds"]
    assert one["messages_per_second"] == pytest.approx(50 / one["seconds"])
    assert one["ratio_to_limit"] == pytest.approx(
        one["messages_per_second"] / one["limit_writes_per_second"]
    )
    if delay != "0":
        assert one["seconds"] > 0.02, "two syncs of 10 ms, at least"
        assert one["limit_writes_per_second"] < 100


def test_drain_empties_the_spool_over_a_line(tmp_path, shared_store):
    bucket = shared_store.bucket(shared_store.new_bucket())
    (one,) = results(
        tmp_path, "drain", "--messages", "300", "--size", "2KiB",
        "--rtt", "20", "--line", "50", "--live", "5", "--uploaders", "8",
        "--set", "RETRY_MAX_DELAY=500ms", "--set", "UPLOAD_BATCHES=False",
        "--store", f"http://{shared_store.address}", "--bucket", bucket.name,
        "--access-key", shared_store.access_key, "--secret-key", shared_store.secret_key,
    )  # fmt: skip
    assert (one["size_bytes"], one["messages"], one["stored"]) == (2048, 300, 300)
    assert (one["rtt_ms"], one["line_megabits_per_second"], one["uploaders"]) == (20, 50, 8)
    live = one["live"]
    assert live["stored"] == live["published"] == live["latency"]["count"] > 0
    assert len(bucket.etags()) == 300 + live["stored"]
    assert 300 <= one["objects"] <= 300 + live["stored"]
    # A round trip for the connection and, without batches, one for each object, of which eight are
    # on their way.
    assert live["latency"]["p50_ms"] > 20
    draining = one["seconds"] - one["reached_seconds"]
    assert draining > 0.02 * one["objects"] / 8
    assert one["objects_per_second"] == pytest.approx(one["objects"] / draining)
    assert one["body_bytes_per_second"] == pytest.approx(2048 * one["objects_per_second"])
    assert one["line_bytes"] > 2048 * one["objects"]
    assert 0 < one["goodput_share"] < one["line_share"] <= 1
    assert one["line_share"] == pytest.approx(one["line_bytes"] * 8 / draining / 50e6)
    assert one["connections"] >= 8
    assert one["bridge_peak_private_bytes"] > 0
    assert one["cpu_seconds_per_1000"]["store"] is None  # it is not the bench's


def test_drain_without_live_pictures_needs_no_list(tmp_path):
    (one,) = results(
        tmp_path, "drain", "--store", "discard", "--messages", "50", "--size", "1KiB",
        "--rtt", "20", "--line", "0", "--set", "RETRY_MAX_DELAY=500ms",
    )  # fmt: skip
    assert one["messages"] == one["objects"] == one["stored"] == 50
    assert one["line_share"] is one["goodput_share"] is None  # the line has no limit
    assert one["live"]["published"] == 0 and one["live"]["latency"] is None


@pytest.mark.parametrize("cold", [[], ["--cold"]])
def test_start_uploads_from_a_full_spool(tmp_path, cold):
    (one,) = results(tmp_path, "start", "--messages", "400", "--size", "1KiB", *cold)
    assert (one["size_bytes"], one["messages"], one["cold"]) == (1024, 400, bool(cold))
    assert one["spool_bytes"] > 400 * 1024
    assert 0 < one["first_upload_seconds"] < 30
    assert 0 < one["ready_seconds"]
    assert one["bridge_peak_private_bytes"] > 0


def test_refused_compares_the_same_messages_with_and_without_refusals(tmp_path):
    """And one refused object does not stop the others."""
    (one,) = results(
        tmp_path, "refused", "--refused", "1", "--messages", "50", "--size", "1KiB",
        "--rate", "50", "--seconds", "0.5", "--limit", "10",
    )  # fmt: skip
    assert (one["size_bytes"], one["rate"]) == (1024, 50)
    without, beside = one["without_refused"], one["with_refused"]
    assert (without["waiting"], beside["waiting"]) == (0, 1)
    for side in (without, beside):
        assert (side["fast"]["messages"], side["paced"]["messages"]) == (50, 25)
        assert side["bridge_peak_private_bytes"] > 0
        for phase in (side["fast"], side["paced"]):
            assert phase["stored"] == phase["latency"]["count"] == phase["messages"]
            assert phase["messages_per_second"] == pytest.approx(phase["stored"] / phase["seconds"])
    assert without["fast"]["refused_per_second"] == without["paced"]["refused_per_second"] == 0
    assert one["ratio_messages_per_second"] == pytest.approx(
        beside["fast"]["messages_per_second"] / without["fast"]["messages_per_second"]
    )
    assert one["ratio_p99"] == pytest.approx(
        beside["paced"]["latency"]["p99_ms"] / without["paced"]["latency"]["p99_ms"]
    )


def test_refused_gives_up_on_messages_that_are_not_stored(tmp_path):
    """50 objects of 100 KiB at 100 KiB a second take much longer than the limit."""
    (one,) = results(
        tmp_path, "refused", "--refused", "1", "--messages", "50", "--size", "100KiB",
        "--rate", "50", "--seconds", "0.5", "--limit", "1",
        "--set", "UPLOAD_BANDWIDTH_LIMIT=100KiB",
    )  # fmt: skip
    for side in (one["without_refused"], one["with_refused"]):
        for phase in (side["fast"], side["paced"]):
            assert phase["stored"] < phase["messages"]
            assert phase["seconds"] >= 1
            assert phase["messages_per_second"] == pytest.approx(phase["stored"] / phase["seconds"])
    assert one["ratio_p99"] is None


def test_a_line_is_no_faster_than_it_says(tmp_path):
    """Whatever the machine does: 2 MB at 10 Mbit/s take 1.6 s, in however many connections."""
    (one,) = results(
        tmp_path, "put", "--store", "discard", "--messages", "20", "--size", "100KiB",
        "--rtt", "100", "--line", "10", "--put-threads", "10",
    )  # fmt: skip
    body_seconds = 20 * 102400 * 8 / 10e6
    assert one["seconds"] > body_seconds + 0.2, "and two round trips: to connect, and the answer's"


def test_the_published_tables_and_pictures(tmp_path):
    """With few messages: what they say is not judged, that they can be made is."""
    script = REPOSITORY / "bench" / "published.py"
    rows = tmp_path / "results.jsonl"
    document = tmp_path / "performance.md"
    document.write_text("before\n<!-- tables of scripts/bench -->\n<!-- end of tables -->\nafter\n")
    command = [sys.executable, script, "measure", bench_command()[0], rows, "1", "1"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, timeout=120)
    subprocess.run([sys.executable, script, "document", rows, document], check=True, timeout=30)
    text = document.read_text()
    assert text.startswith("before\n") and text.endswith("after\n")
    assert text.count("| 100KiB |") == 4, text
    assert "peer" not in text  # none was given
    for name in ("throughput.svg", "cpu.svg"):
        picture = ElementTree.parse(tmp_path / "performance" / name).getroot()
        assert picture.tag.endswith("svg")


@pytest.mark.parametrize("qos", ["0", "1", "2"])
def test_pipeline_tells_the_latency_of_each_message_at_a_rate(tmp_path, qos):
    one, other = results(
        tmp_path, "pipeline", "--store", "discard", "--messages", "50", "--rate", "200",
        "--qos", qos, "--publishers", "2", "--size", "1KiB", "--size", "100KiB",
    )  # fmt: skip
    assert (one["size_bytes"], other["size_bytes"]) == (1024, 102400)
    assert one["ratio_to_limit"] is None  # the rate is no limit of the bridge
    for latency in (one["latency"], other["latency"]):
        assert latency["count"] == 50
        assert 0 < latency["p50_ms"] <= latency["p99_ms"] <= latency["max_ms"]


def test_pipeline_counts_the_answers_of_the_status_listener(tmp_path):
    (one,) = results(
        tmp_path, "pipeline", "--store", "discard", "--messages", "50", "--rate", "100",
        "--size", "1KiB", "--askers", "2", "--asked", "/livez",
    )  # fmt: skip
    assert one["stored"] == one["latency"]["count"] == 50
    assert one["answers_per_second"] > 2


def test_pipeline_measures_a_real_store_as_well(tmp_path, shared_store):
    (one,) = results(
        tmp_path, "pipeline", "--messages", "50", "--size", "1KiB", "--rate", "200",
        "--set", "UPLOAD_BATCHES=False",  # the pictures of a batch have no latencies
        "--store", f"http://{shared_store.address}", "--bucket", shared_store.new_bucket(),
        "--access-key", shared_store.access_key, "--secret-key", shared_store.secret_key,
    )  # fmt: skip
    assert one["stored"] == one["latency"]["count"] == 50
    assert one["cpu_seconds_per_1000"]["store"] is None  # it is not the bench's
    assert one["limit_puts_per_second"] > 0


@pytest.mark.parametrize("store", ["discard", "minio"])
def test_soak_watches_the_bridge_row_by_row(tmp_path, shared_store, store):
    into = ["discard"]
    if store == "minio":
        into = [
            f"http://{shared_store.address}", "--bucket", shared_store.new_bucket(),
            "--access-key", shared_store.access_key, "--secret-key", shared_store.secret_key,
            "--set", "UPLOAD_BATCHES=False",  # the pictures of a batch have no latencies
        ]  # fmt: skip
    (one,) = results(
        tmp_path, "soak", "--minutes", "0.05", "--rate", "50", "--size", "1KiB", "--store", *into
    )
    assert (one["size_bytes"], one["rate"], one["minutes"]) == (1024, 50, 0.05)
    assert one["messages"] == one["stored"] == 150
    rows = one["rows"]
    assert len(rows) == 10
    assert sum(row["stored"] for row in rows) == 150
    assert sum(row["latency"]["count"] for row in rows if row["latency"]) == 150
    assert sum(row["seconds"] for row in rows) == pytest.approx(rows[-1]["end_seconds"])
    assert rows[-1]["end_seconds"] >= 3
    for row in rows:
        assert row["seconds"] > 0
        assert row["messages_per_second"] == pytest.approx(row["stored"] / row["seconds"])
        assert row["bridge_processors"] >= 0
    for what in ("bridge_private_bytes", "bridge_handles", "bridge_threads", "spool_file_bytes"):
        values = [row[what] for row in rows]
        growth = one["growth"][what]
        assert all(value > 0 for value in values)
        assert growth["first"] == pytest.approx(sum(values[:3]) / 3)
        assert growth["last"] == pytest.approx(sum(values[-3:]) / 3)
        assert growth["ratio"] == pytest.approx(growth["last"] / growth["first"])


def test_put_stores_what_it_counts(tmp_path, shared_store):
    bucket = shared_store.bucket(shared_store.new_bucket())
    (one,) = results(
        tmp_path, "put", "--messages", "20", "--size", "1KiB",
        "--store", f"http://{shared_store.address}", "--bucket", bucket.name,
        "--access-key", shared_store.access_key, "--secret-key", shared_store.secret_key,
    )  # fmt: skip
    assert one["messages"] == len(bucket.etags()) == 20
    assert bucket.read("bare-0000000019.jpg").size == 1024


def test_put_in_batches_stores_the_same_objects_as_alone(tmp_path, shared_store):
    buckets = []
    for batch in ("1", "7"):
        bucket = shared_store.bucket(shared_store.new_bucket())
        begin = datetime.datetime.now(datetime.timezone.utc)
        (one,) = results(
            tmp_path, "put", "--messages", "20", "--size", "1KiB", "--batch", batch,
            "--store", f"http://{shared_store.address}", "--bucket", bucket.name,
            "--access-key", shared_store.access_key, "--secret-key", shared_store.secret_key,
        )  # fmt: skip
        assert (one["messages"], one["batch"]) == (20, int(batch))
        assert one["cpu_seconds_per_1000"]["store"] is None  # it is not the bench's
        # Also that no archive is left among them.
        assert sorted(bucket.etags()) == [f"bare-{number:010}.jpg" for number in range(20)]
        for modified in bucket.times().values():
            assert abs(modified - begin) < datetime.timedelta(minutes=5)
        buckets.append(bucket)
    alone, batched = buckets
    for key in batched.etags():
        stored = batched.read(key)
        _, headers, body = shared_store.get(f"/{batched.name}/{key}")
        assert headers["ETag"].strip('"') == hashlib.md5(body, usedforsecurity=False).hexdigest()
        assert stored.size == 1024
        assert stored.content_type == "image/jpeg"
        # The pictures are random, all else is the same.
        assert stored.metadata == alone.read(key).metadata
        assert stored.metadata["mqtt_topic"] == "bench/picture"


def test_put_in_batches_wants_a_store_that_takes_them(tmp_path):
    done = run(tmp_path, "put", "--store", "discard", "--messages", "20", "--batch", "7")
    assert done.returncode != 0
    assert "--batch" in done.stderr and "MinIO" in done.stderr, done.stderr


def test_spool_appends_every_message(tmp_path):
    (one,) = results(tmp_path, "spool", "--messages", "50", "--size", "1KiB", "--waiters", "7")
    assert (one["size_bytes"], one["messages"], one["waiters"]) == (1024, 50, 7)
    assert one["message_bytes"] > 1024 * 4 / 3
    assert one["limit_writes_per_second"] > 0
    for way in ("one_at_a_time", "many_at_a_time"):
        assert one[way]["messages_per_second"] == pytest.approx(50 / one[way]["seconds"])
        assert one[way]["ratio_to_limit"] > 0


def test_fifo_keeps_the_file_as_small_as_its_queue(tmp_path):
    total, queued = 160 << 20, 16 << 20
    (one,) = results(tmp_path, "fifo", "--total", "160MiB", "--queued", "16MiB", "--waiters", "7")
    assert (one["total_bytes"], one["most_queued_bytes"], one["waiters"]) == (total, queued, 7)
    assert one["messages"] > 160 / 4, "none is longer than 4 MiB"
    assert len(one["tenths"]) == 10
    assert total <= sum(tenth["bytes"] for tenth in one["tenths"]) <= total + (4 << 20)
    for tenth in one["tenths"]:
        assert tenth["bytes_per_second"] == pytest.approx(tenth["bytes"] / tenth["seconds"])
        assert tenth["ratio_to_limit"] == pytest.approx(
            tenth["bytes_per_second"] / tenth["limit_bytes_per_second"]
        )
        assert queued / 8 < tenth["peak_queued_bytes"]
        assert tenth["cpu_seconds_per_gib"] >= 0, "in steps of 10 ms"
    speeds = [tenth["bytes_per_second"] for tenth in one["tenths"]]
    assert one["last_to_first_speed"] == pytest.approx(speeds[-1] / speeds[0])
    ratios = [tenth["ratio_to_limit"] for tenth in one["tenths"]]
    assert one["last_to_first_ratio"] == pytest.approx(ratios[-1] / ratios[0])
    files = [tenth["file_bytes"] for tenth in one["tenths"]]
    assert files == sorted(files)
    assert one["peak_queued_bytes"] == max(tenth["peak_queued_bytes"] for tenth in one["tenths"])
    assert one["file_to_queued"] == pytest.approx(files[-1] / one["peak_queued_bytes"])
    # What was removed waits up to 100 ms for its commit, and two commits for its pages to be free.
    assert files[-1] < total / 2


def test_stages_are_measured_one_by_one(tmp_path):
    (one,) = results(tmp_path, "stages", "--size", "1KiB", "--seconds", "0.01")
    assert one["message_bytes"] > one["size_bytes"] == 1024
    names = [stage["name"] for stage in one["stages"]]
    assert names == ["copy", "seal", "encrypt", "decrypt", "check", "decode", "hash", "sign"]
    for stage in one["stages"]:
        assert stage["messages"] > 0 and stage["nanoseconds_per_message"] > 0, stage


@pytest.mark.parametrize(
    "arguments, value, remedy",
    [
        (["pipeline", "--size", "3"], "'3'", "100KiB"),
        (["pipeline", "--store", "discrd"], "'discrd'", "discard"),
        (["pipeline", "--store", "http://127.0.0.1:9000"], "127.0.0.1:9000", "--access-key"),
        (["pipeline", "--store", "discard", "--broker", "foo"], "'foo'", "host:port"),
        (["pipeline", "--store", "discard", "--bridge", "/none"], "'/none'", "--bridge"),
        (["pipeline", "--minio", "/none"], "'/none'", "scripts/minio"),
        (["pipeline", "--set", "QOS"], "'QOS'", "NAME=VALUE"),
        (["pipeline", "--peer", "/none"], "'/none'", "scripts/peer"),
        (["pipeline", "--peer", "/bin/true", "--size", "3MiB"], "'3MiB'", "below 2MiB"),
        (
            ["pipeline", "--store", "discard", "--askers", "1", "--asked", "/none"],
            "'/none'",
            "--asked",
        ),
        (["drain", "--store", "discard", "--live", "1"], "'discard'", "minio"),
        (["fifo", "--queued", "15MiB"], "'15MiB'", "16MiB"),
        (["soak", "--store", "discard", "--rate", "1e6", "--minutes", "10"], "1e+06", "--minutes"),
    ],
)
def test_a_mistake_is_named_with_its_remedy(tmp_path, arguments, value, remedy):
    done = run(tmp_path, *arguments)
    assert done.returncode not in (0, -signal.SIGSEGV)
    assert value in done.stderr and remedy in done.stderr, done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_all_that_it_started(tmp_path, number):
    command = bench_command("pipeline", "--store", "discard", "--messages", "1000", "--rate", "1")
    bench = subprocess.Popen(command, cwd=tmp_path)
    try:
        wait_until(lambda: len(children(bench.pid)) == 2, 20, "broker and bridge run")
        started = children(bench.pid)
        bench.send_signal(number)
        assert bench.wait(20) == 130
    finally:
        bench.kill()
        bench.wait()
    assert not any(pathlib.Path(f"/proc/{pid}").exists() for pid in started)
    assert list(tmp_path.iterdir()) == []


def test_a_bridge_that_ends_is_reported_with_its_last_words(tmp_path):
    done = run(tmp_path, "pipeline", "--store", "discard", "--set", "RETRY_MAX_DELAY=never")
    assert done.returncode == 1
    assert "RETRY_MAX_DELAY" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_peer_that_ends_fails_the_run(tmp_path):
    done = run(
        tmp_path, "pipeline", "--store", "discard", "--messages", "1", "--size", "1KiB",
        "--peer", "/bin/false",
    )  # fmt: skip
    assert done.returncode == 1 and done.stdout == ""
    assert "the peer ended" in done.stderr
    assert list(tmp_path.iterdir()) == []
