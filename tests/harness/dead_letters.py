"""Records and dead letters as they stand on disk, read by other code than ours (docs/spool-format.md)."""

import hashlib
import hmac
import struct
from dataclasses import dataclass

import lmdb
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

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
    9: "key_lost",
}
PIECE_BITS = 16
_HEADER = struct.Struct("<BBBxH2xIIQQ")
_PLAIN, _ENCRYPTED = 1, 2
_BOUND_BYTES = 24  # of a record's header; the checksum is outside of the encryption
_REASON_BYTES = 14  # before an encrypted detail
_SALT_BYTES = 16


@dataclass(frozen=True)
class DeadLetter:
    id: int
    reason: str
    payload: bytes
    topic: str = ""
    detail: str = ""
    key: str = ""  # of the encryption; "" where there is none


def _records_of(txn, database):
    pieces = {}
    for key, piece in txn.cursor(db=database):
        number = struct.unpack("=Q", key)[0] >> PIECE_BITS
        pieces.setdefault(number, []).append(piece)
    return {number: b"".join(parts) for number, parts in pieces.items()}


def records_in(folder):
    """id -> bytes of each record in a folder of a spool. Nobody may be writing."""
    with lmdb.open(str(folder), readonly=True, lock=False, max_dbs=4) as env:
        database = env.open_db(b"records", integerkey=True, create=False)
        with env.begin() as txn:
            return _records_of(txn, database)


def read_dead_letters(spool_dir, master_key=None):
    """All of them, in order of their ids; those that are encrypted need the key. Nobody may be writing."""
    path = str(spool_dir / "dead-letters")
    with lmdb.open(path, readonly=True, lock=False, max_dbs=4) as env:
        records = env.open_db(b"records", integerkey=True, create=False)
        reasons = env.open_db(b"reasons", integerkey=True, create=False)
        with env.begin() as txn:
            found = _records_of(txn, records)
            return [
                _letter_of(number, value, found[number], master_key)
                for key, value in txn.cursor(db=reasons)
                for number in struct.unpack("=Q", key)
            ]


def _letter_of(number, reason, record, master_key):
    version, _, _, topic_bytes, payload_bytes, key, _, _ = _HEADER.unpack_from(record)
    text = record[_HEADER.size :]
    detail = reason[10:]
    if version == _ENCRYPTED:
        text = _decrypted(master_key, record[:_BOUND_BYTES], text)
    if reason[0] == _ENCRYPTED:
        detail = _decrypted(master_key, reason[:_REASON_BYTES], reason[_REASON_BYTES:])
    return DeadLetter(
        id=number,
        reason=_REASONS[reason[1]],
        payload=text[topic_bytes : topic_bytes + payload_bytes],
        topic=text[:topic_bytes].decode(errors="replace"),
        detail=detail.decode(errors="replace"),
        key="" if version == _PLAIN else f"{key:08x}",
    )


def _decrypted(master_key, bound, encrypted):
    """docs/spool-format.md, "Encryption"."""
    salt, sealed = encrypted[:_SALT_BYTES], encrypted[_SALT_BYTES:]
    info = b"mqtt-to-blob text" + salt + b"\x01"
    own_key = hmac.new(master_key, info, hashlib.sha256).digest()
    return AESGCM(own_key).decrypt(bytes(12), sealed, bound)
