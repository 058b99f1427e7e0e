"""The corpus of messages has the original's decisions, and the document has the differences."""

import json
import re
import sys

import pytest

from harness import corpus, original

DOCUMENT = corpus.REPOSITORY / "docs" / "messages.md"

CASES = list(corpus.cases())
ENTRIES = [json.loads(line) for line in corpus.CORPUS.read_text().splitlines()]


def test_the_file_has_every_case_as_this_python_decides_it():
    # Other Pythons decide a few in another way; those lines are the other test's.
    same_python = sys.version_info[:2] == corpus.PYTHON
    expected = [
        case.line() if same_python or case.difference not in corpus.DIFFERENCES_BETWEEN_PYTHONS else None
        for case in CASES
    ]  # fmt: skip
    found = corpus.CORPUS.read_text().splitlines()
    assert len(found) == len(expected), "python3 -m harness.corpus, in tests/, writes it"
    for line, wanted in zip(found, expected, strict=True):
        assert wanted in (None, line), "python3 -m harness.corpus, in tests/, writes it"


def test_there_are_messages_enough_of_each_kind():
    assert len(ENTRIES) >= 200
    assert len({entry["name"] for entry in ENTRIES}) == len(ENTRIES)
    assert {entry["decoder"] for entry in ENTRIES} == {
        "stored", "too_large", "not_json", "missing_field", "wrong_type", "bad_base64", "bad_key",
    }  # fmt: skip


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry["name"])
def test_decoder_and_original_differ_only_where_that_is_said(entry):
    differs = (entry["original"] == "stored") != (entry["decoder"] == "stored")
    assert differs == ("difference" in entry)


def test_the_document_lists_the_differences_of_the_corpus():
    section = DOCUMENT.read_text().split("## Differences from the original\n")[1].split("\n## ")[0]
    listed = re.findall(r"^\| `([a-z-]+)` \| (stored|refused) \|", section, re.MULTILINE)
    assert len(listed) == len(dict(listed)), "one line a difference"
    assert dict(listed) == {
        entry["difference"]: "stored" if entry["decoder"] == "stored" else "refused"
        for entry in ENTRIES
        if "difference" in entry
    }


def test_the_original_insists_on_the_type_of_each_field():
    assert original.is_stored(corpus.message().encode())
    assert not original.is_stored(corpus.message(image_width="true").encode())
    assert not original.is_stored(corpus.message(image_bytes='"QUJD\\n"').encode())
