"""Writes the rows of a campaign into the table of a document: report.py RESULTS DOCUMENT.

Rows of cases that were not run this time stay as they are.
"""

import json
import pathlib
import re
import sys
from datetime import date

_BEGIN, _END = "<!-- rows of scripts/torture -->", "<!-- end of rows -->"
_COLUMNS = [
    ("fault", "fault"),
    ("runs", "runs"),
    ("expected", "messages"),
    ("missing", "lost"),
    ("told", "dead letters, set aside"),
    ("differing", "wrong bytes"),
    ("wrong_metadata", "wrong metadata"),
    ("unexpected", "unexpected"),
    ("stored_twice", "stored twice"),
    ("seed", "seed"),
    ("share", "share %"),
    ("commit", "commit"),
    ("day", "day"),
]


def read_results(path):
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return [row | {"day": date.today().isoformat()} for row in rows]


def read_table(text):
    """fault -> cells, of the table as it stands."""
    lines = [line for line in text.splitlines() if line.startswith("| ")][2:]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {row[0]: row for row in cells}


def write_table(rows):
    heads = [head for _, head in _COLUMNS]
    lines = ["| " + " | ".join(heads) + " |", "| " + " | ".join("---" for _ in heads) + " |"]
    return "\n".join(lines + ["| " + " | ".join(cells) + " |" for cells in rows]) + "\n"


def main(results, document):
    text = document.read_text()
    before, table, after = re.split(f"{re.escape(_BEGIN)}|{re.escape(_END)}", text)
    rows = read_table(table)
    for row in read_results(results):
        cells = [str(row[key]) for key, _ in _COLUMNS]
        rows[cells[0]] = cells
    body = write_table(rows.values())
    document.write_text(f"{before}{_BEGIN}\n{body}{_END}{after}")
    print(f"{document}: {len(rows)} rows")


if __name__ == "__main__":
    main(*map(pathlib.Path, sys.argv[1:3]))
