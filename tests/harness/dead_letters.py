"""The dead letters as they stand on disk, read by other code than ours (docs/spool-format.md)."""

import struct
from dataclasses import dataclass

import lmdb

# The names of DeadLetterReason, by its numbers.
_REASONS = {
    1: "not_json",
    2: "missing_field",
    3: "wrong_type",
    4: "bad_base64",
    5: "bad_key",
    6: "too_large",
    7: "damaged",
    8: "rejected_by_store",
}
_PIECE_BITS = 16
_HEADER = struct.Struct("<BBBxH2xI4xQQ")


@dataclass(frozen=True)
class DeadLetter:
    id: int
    reason: str
    payload: bytes


def read_dead_letters(spool_dir):
    """All of them, in order of their ids. Nobody may be writing."""
    path = str(spool_dir / "dead-letters")
    with lmdb.open(path, readonly=True, lock=False, max_dbs=4) as env:
        records = env.open_db(b"records", integerkey=True, create=False)
        reasons = env.open_db(b"reasons", integerkey=True, create=False)
        with env.begin() as txn:
            pieces = {}
            for key, piece in txn.cursor(db=records):
                number = struct.unpack("=Q", key)[0] >> _PIECE_BITS
                pieces.setdefault(number, []).append(piece)
            return [
                DeadLetter(number, _REASONS[value[1]], _payload_of(b"".join(pieces[number])))
                for key, value in txn.cursor(db=reasons)
                for number in struct.unpack("=Q", key)
            ]


def _payload_of(record):
    _, _, _, topic_bytes, payload_bytes, _, _ = _HEADER.unpack_from(record)
    start = _HEADER.size + topic_bytes
    return record[start : start + payload_bytes]
