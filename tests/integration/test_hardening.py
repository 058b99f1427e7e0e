"""The binary as it is shipped: what the compiler and the linker were told is in it."""

import re
import subprocess

import pytest

from harness.bridge import bridge_binary


def readelf(*options):
    return subprocess.run(
        ["readelf", "--wide", *options, bridge_binary()], check=True, capture_output=True, text=True
    ).stdout


@pytest.fixture(scope="module")
def segments():
    """Type -> flags of each."""
    found = re.findall(r"^ +([A-Z_]+) +(?:0x\w+ +){5}([R ][W ][E ]) ", readelf("--segments"), re.M)
    assert len(found) > 5, "readelf is read wrongly"
    return found


@pytest.fixture(scope="module")
def imports():
    """Names of the functions that others provide."""
    return set(re.findall(r" UND (\S+?)(?:@| |$)", readelf("--dyn-syms"), re.M))


def test_it_is_loaded_at_a_random_address():
    assert re.search(r"Type: +DYN ", readelf("--file-header"))
    assert re.search(r"\(FLAGS_1\).*\bPIE\b", readelf("--dynamic"))


def test_the_table_of_addresses_is_read_only_once_it_runs(segments):
    assert ("GNU_RELRO", "R  ") in segments
    dynamic = readelf("--dynamic")
    assert re.search(r"\(FLAGS\).*\bBIND_NOW\b", dynamic)
    assert re.search(r"\(FLAGS_1\).*\bNOW\b", dynamic)


def test_no_memory_is_writable_and_executable(segments):
    assert ("GNU_STACK", "RW ") in segments
    assert not [flags for _, flags in segments if "W" in flags and "E" in flags]
    assert "TEXTREL" not in readelf("--dynamic")


def test_libraries_come_from_the_system_alone():
    assert not re.search(r"RPATH|RUNPATH", readelf("--dynamic"))


def test_the_stack_is_guarded(imports):
    assert "__stack_chk_fail" in imports


def test_the_c_library_checks_what_it_copies(imports):
    checked = {name for name in imports if re.fullmatch(r"__\w+_chk", name)}
    assert len(checked) >= 3, sorted(imports)


def test_the_cpp_library_checks_its_bounds(imports):
    assert any("__glibcxx_assert_fail" in name for name in imports)


def test_only_functions_are_called_and_only_landed_on_where_one_begins():
    """-fcf-protection: each function that may be called through a pointer begins with endbr64."""
    entry = re.search(r"Entry point address: +0x(\w+)", readelf("--file-header")).group(1)
    assert int(entry, 16) > 0
    code = subprocess.run(
        ["objdump", "--disassemble=main", "--no-show-raw-insn", bridge_binary()],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    first = re.search(r"<main>:\n\s+\w+:\s+(\S+)", code)
    assert first and first.group(1) in ("endbr64", "bti", "paciasp", "hint"), code[:500]
