"""Messages with the original's decision and the decoder's: tests/corpus/messages.jsonl, one a line.

    python3 -m harness.corpus    # in tests/: writes the file, with what this Python decides

| name | |
| --- | --- |
| `name` | unique |
| `payload` | parts: a string, of which each character is one byte, or such a string and how often it is repeated |
| `original` | `stored` or `refused` |
| `decoder` | `stored` or the reason of the dead letter |
| `difference` | where the two differ: its name in docs/messages.md |
| `object` | what is stored, by whoever stores it |
"""

import base64
import json
import pathlib
from dataclasses import dataclass

from harness import original

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
CORPUS = REPOSITORY / "tests" / "corpus" / "messages.jsonl"

# In other versions of Python these are decided in another way; the file has what PYTHON decides.
PYTHON = (3, 11)
DIFFERENCES_BETWEEN_PYTHONS = ("excess-padding", "nesting")

BASE64 = base64.b64encode(b"\xff\xd8\xff\xe0 a picture").decode()
NO_INTEGERS = ['"800"', "true", "null", "1.0", "1e3", "-0.0", "[1]", "{}", "NaN", "Infinity", "-Infinity"]  # fmt: skip
NO_STRINGS = ["7", "false", "null", '["a"]', "{}", "NaN"]
FIELDS = ["timestamp_ms", "image", "image_id", "image_bytes", "image_height", "image_width", "image_channels"]  # fmt: skip
INTEGERS = ["timestamp_ms", "image_height", "image_width", "image_channels"]


@dataclass
class Case:
    name: str
    parts: list  # of bytes, or of bytes and how often
    reason: str = None  # of the decoder's dead letter
    difference: str = None
    like: bytes = None  # the payload whose object the original stores, where it refuses this one

    @property
    def payload(self):
        return b"".join(part if isinstance(part, bytes) else part[0] * part[1] for part in self.parts)  # fmt: skip

    def line(self):
        stored = original.is_stored(self.payload)
        entry = {
            "name": self.name,
            "payload": [text(part) if isinstance(part, bytes) else [text(part[0]), part[1]]
                        for part in self.parts],
            "original": "stored" if stored else "refused",
            "decoder": self.reason or "stored",
        }  # fmt: skip
        if self.difference:
            entry["difference"] = self.difference
        if stored or self.like:
            entry["object"] = original.object_of(self.like or self.payload)
        return json.dumps(entry)


def text(part):
    return part.decode("latin-1")


def message(extra="", *, top="", **changes):
    """A message as text. Changes are JSON, and None takes a field away; `extra` is put into the
    image, `top` beside it."""
    fields = {
        "timestamp_ms": "1635351550897",
        "image_id": '"cam_1"',
        "image_bytes": f'"{BASE64}"',
        "image_height": "800",
        "image_width": "1203",
        "image_channels": "3",
    }
    fields |= changes
    inner = [f'"{name}": {value}' for name, value in fields.items()
             if value is not None and name not in ("timestamp_ms", "image")]  # fmt: skip
    if extra:
        inner.append(extra)
    image = fields.get("image", "{" + ", ".join(inner) + "}")
    outer = []
    if fields["timestamp_ms"] is not None:
        outer.append(f'"timestamp_ms": {fields["timestamp_ms"]}')
    if image is not None:
        outer.append(f'"image": {image}')
    if top:
        outer.append(top)
    return "{" + ", ".join(outer) + "}"


def raw(text):
    """Characters up to U+00FF as one byte each, for what is no UTF-8."""
    return text.encode("latin-1")


def ordinary():
    yield "plain", message().encode()
    yield "white space around", b" \r\n\t" + message().encode() + b"\n \r\t"
    yield "white space between", json.dumps(json.loads(message()), indent=4).encode()
    yield "no white space", json.dumps(json.loads(message()), separators=(",", ":")).encode()
    yield "fields in another order", json.dumps(json.loads(message()), sort_keys=True).encode()
    yield "unknown fields", message('"x": [1, {"y": null}]', top='"z": {"image": {}}').encode()
    yield "an empty field name", message(top='"": 1').encode()
    yield "a field twice", message('"image_id": "second"').encode()
    yield "a field twice, the first one wrong", message(image_id='5, "image_id": "x"').encode()
    yield "the image twice", b'{"image": 5, ' + message()[1:].encode()
    yield "a name with an escape", message(image_id=None, extra='"image\\u005fid": "e"').encode()
    yield "a field twice, once escaped", message('"image\\u005fid": "later"').encode()
    yield "an empty body", message(image_bytes='""').encode()
    yield "escaped slashes in the base64", message(image_bytes='"\\/\\/\\/\\u002f"').encode()
    yield "unused bits of the base64", message(image_bytes='"QR=="').encode()
    yield "base64 of one byte", message(image_bytes='"QQ=="').encode()
    yield "base64 of two bytes", message(image_bytes='"QUI="').encode()
    yield "all of the base64 alphabet", message(image_bytes='"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"').encode()  # fmt: skip
    yield "escaped padding", message(image_bytes='"QQ\\u003d\\u003D"').encode()
    for image_id in ["a/b/c", "with blank", "50% & more", "größe", "日本語", "\U0001f600", "back\\\\slash", "quote\\\""]:  # fmt: skip
        yield f"the id {image_id}", message(image_id=f'"{image_id}"').encode()
    yield "an id with a pair of escapes", message(image_id='"\\ud83d\\ude00"').encode()
    yield "an id with upper case escapes", message(image_id='"\\u00E9\\uD83D\\uDE00"').encode()
    yield "an id with U+FFFD", message(image_id='"\\ufffd"').encode()
    yield "an id with a noncharacter", message(image_id='"\\uffff"').encode()
    yield "an id like a mark of ours", message(image_id='"string-0"').encode()
    for number in ["0", "-0", "-1", "9223372036854775807", "9223372036854775808", "-9223372036854775808", "18446744073709551615"]:  # fmt: skip
        yield f"timestamp_ms {number}", message(timestamp_ms=number).encode()
        yield f"image_width {number}", message(image_width=number).encode()
    for depth in [10, 100, 800]:
        yield f"an unknown field of {depth} arrays", message(top='"deep": ' + "[" * depth + "]" * depth).encode()  # fmt: skip


def foreign_values():
    """What Python's json takes where nobody reads it."""
    for value in ["NaN", "Infinity", "-Infinity", "[NaN, -Infinity]", '{"a": NaN}', "[[Infinity]]", "1e999", "-1E400", "1e-999", "123456789012345678901234567890", "-99999999999999999999", "0.1", "1E5", "1e+5", "-0.0", "0e0", "2.5e-3"]:  # fmt: skip
        yield f"{value} in the image", message(f'"x": {value}')
        yield f"{value} in front", '{"x": ' + value + ", " + message()[1:]
    yield "the name NaN", message('"NaN": NaN')
    yield "NaN within a string", message('"x": "NaN", "y": NaN')
    yield "NaN before each token", '{"a":NaN,"b":[NaN,NaN],"c":NaN}'.join(['{"w": ', ", " + message()[1:]])  # fmt: skip
    yield "an integer of 4,000 digits", message('"x": ' + "7" * 4000)
    for value in ["\\ud800", "\\udbff", "\\udc00", "\\udfff", "a\\ud83db", "\\ud83d\\ud83d\\ude00", "\\ude00\\ud83d", "\\ud83d\\\\ude00", "\\ud83dx\\ude00", "\\uD83D\\n", "\\u0000\\ud800", "\\u0000string-0\\ud800"]:  # fmt: skip
        yield f"the escapes {value}", message(f'"x": "{value}"')
    yield "a name with a lone surrogate", message('"image_id\\ud800": 5')
    yield "lone surrogates in many fields", message(", ".join(f'"x{i}": "\\ud8{i:02}"' for i in range(50)))  # fmt: skip
    yield "all of it together", message('"a": NaN, "b": "\\ud800", "c": 1e999', top='"d": [-Infinity]')
    yield "a NUL as an escape", message('"x": "\\u0000"')
    yield "text like a mark", message('"x": "\\u0000string-0"')
    yield "text like a mark, and a lone surrogate", message('"x": "\\u0000string-0", "y": "\\udead"')


def foreign_bytes():
    yield "a surrogate as three bytes", raw(message('"x": "\xed\xa0\x80"'))
    yield "a low surrogate as three bytes", raw(message('"x": "\xed\xbf\xbf"'))
    yield "a pair of surrogates as six bytes", raw(message('"x": "\xed\xa0\xbd\xed\xb8\x80"'))
    yield "a name with a surrogate as three bytes", raw(message('"\xed\xa0\x80": 1'))
    yield "DEL in a string", raw(message('"x": "\x7f"'))
    yield "the largest code point", message('"x": "\U0010ffff"').encode()


def encodings():
    texts = {
        "plain": message(),
        "not ASCII": message(image_id='"gr\u00f6\u00dfe/\u65e5\u672c/\U0001f600"'),
        "NaN": message('"x": NaN'),
        "white space in front": " " + message() + "\n",
        "a lone escape": message('"x": "\\ud800"'),
    }
    for encoding in ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"]:
        for name, content in texts.items():
            yield f"{encoding}, {name}", content.encode(encoding)
            yield f"{encoding} with a byte order mark, {name}", ("\ufeff" + content).encode(encoding)
        for name, lone in {"high": "\ud83d", "low": "\ude00", "two high": "\ud83d\ud83d"}.items():
            yield (f"{encoding}, a lone surrogate ({name})",
                   message(f'"x": "{lone}"').encode(encoding, "surrogatepass"))  # fmt: skip
    yield "a byte order mark of UTF-8", b"\xef\xbb\xbf" + message().encode()
    yield "a byte order mark of UTF-8, NaN", b"\xef\xbb\xbf" + message('"x": NaN').encode()


def large():
    """Beyond 4 MiB only an outline is parsed."""
    def parts(begin, end, content=b"QUJD", count=1_300_000):
        head, tail = message("@", image_bytes='"#"').encode().split(b"#")
        return [head + begin, (content, count), end + tail.replace(b", @", b"")]  # fmt: skip

    def foreign(begin, end, content=b"QUJD", count=1_300_000):
        head, tail = message("@").encode().split(b"@")
        return [head + begin, (content, count), end + tail]

    yield "5 MB of base64", parts(b"", b"")
    yield "5 MB of base64, escapes", parts(b"\\/9j\\u002f", b"")
    yield "5 MB of base64, padding", parts(b"", b"QQ==")
    yield "5 MB and NaN", parts(b"", b'", "x": NaN, "y": "')
    yield "5 MB and a lone surrogate", parts(b"", b'", "x": "\\ud800')
    yield "5 MB and a long string with a lone surrogate", parts(b"", b'", "x": "\\ud800' + b"x" * 5000)  # fmt: skip
    yield "5 MB and a string like a mark", parts(b"", b'", "x": "\\u0000string-0')
    yield "5 MB in a foreign field with escapes", foreign(b'"x": "', b'"', b"\\u00e4")
    yield "5 MB in a foreign field with surrogates", foreign(b'"x": "', b'"', b"\xed\xa0\x80\\udfff", 500_000)  # fmt: skip
    yield "7 MB in UTF-16", [part.decode().encode("utf-16") if isinstance(part, bytes) else
                             (part[0].decode().encode("utf-16-le"), part[1])
                             for part in parts(b"", b"")[:1]] + [  # fmt: skip
        (b"Q\0U\0J\0D\0", 1_300_000), parts(b"", b"")[2].decode().encode("utf-16-le")]  # fmt: skip


def large_and_refused():
    head, tail = message(image_bytes='"#"').encode().split(b"#")
    yield "bad_base64", "5 MB of base64, one line break", [head, (b"QUJD", 1_200_000), b"\\n", (b"QUJD", 9), tail]  # fmt: skip
    yield "bad_base64", "5 MB of base64, one too few", [head, (b"QUJD", 1_300_000), b"QUJ", tail]
    yield "not_json", "5 MB of base64, a raw line break", [head, (b"QUJD", 1_300_000), b"\n", tail]
    yield "not_json", "5 MB, not UTF-8", [head, (b"QUJD", 1_300_000), b"\xff", tail]
    yield "not_json", "5 MB, cut off", [head, (b"QUJD", 1_300_000)]
    yield "not_json", "5 MB of open arrays", [(b"[", 5_000_000)]
    yield "not_json", "5 MB of a JPEG", [b"\xff\xd8\xff\xe0", (b"\x01\x02\x03\x04", 1_300_000)]
    yield "bad_key", "5 MB and a lone surrogate in the id", [
        message(image_id='"\\ud800"', image_bytes='"#"').encode().split(b"#")[0],
        (b"QUJD", 1_300_000), tail]  # fmt: skip
    yield "wrong_type", "5 MB and NaN in the width", [
        head, (b"QUJD", 1_300_000), message(image_width="NaN", image_bytes='"#"').encode().split(b"#")[1]]  # fmt: skip


def no_json():
    good = message().encode()
    yield "nothing", b""
    yield "one blank", b" "
    yield "white space alone", b"\r\n\t "
    yield "a word", b"hello"
    yield "cut in the middle", good[: len(good) // 2]
    yield "cut before the last brace", good[:-1]
    yield "text behind", good + b"x"
    yield "a brace behind", good + b"}"
    yield "a bracket for a brace", good[:-1] + b"]"
    yield "two documents", good + good
    yield "two lines of JSON", good + b"\n" + good
    yield "a comma at the end", good[:-1] + b",}"
    yield "a comma in front", b"{," + good[1:]
    yield "no comma", good.replace(b', "image"', b' "image"')
    yield "no colon", good.replace(b'"image":', b'"image"')
    yield "single quotes", good.replace(b'"', b"'")
    yield "names without quotes", good.replace(b'"image"', b"image")
    yield "a comment", b"/* camera */" + good
    yield "a comment within", good[:-1] + b"// end\n}"
    yield "two byte order marks", b"\xef\xbb\xbf\xef\xbb\xbf" + good
    yield "a byte order mark alone", b"\xef\xbb\xbf"
    yield "a byte order mark behind", good + b"\xef\xbb\xbf"
    yield "a byte order mark behind white space", b" \xef\xbb\xbf" + good
    yield "a form feed", b"\f" + good
    yield "a no-break space", b"\xc2\xa0" + good
    yield "U+2028", b"\xe2\x80\xa8" + good
    yield "a NUL in front", b"\0" + good
    yield "a NUL between tokens", good.replace(b', "image"', b',\0"image"')
    yield "a NUL and text behind", good + b"\0x"
    yield "a line break behind a NUL", good + b"\0\n"
    for value in ["nan", "NAN", "inf", "Inf", "infinity", "+Infinity", "-NaN", "NaNN", "Infinit", "--Infinity", "NaN NaN", "None", "True", "undefined", "nul", "truefalse", "01", "-", "-a", "1.", ".5", "1e", "1e+", "+1", "0x10", "1_000", "1.5.5", "1,5,", "99999999999999999999.", "\u0661", "[1,]", "[,1]", "[1 2]", "[1}", '{"a"}', '{"a":}', '{"a":1,}', "{1:2}", "{NaN:1}", '"\\x41"', '"\\a"', '"\\u12"', '"\\u12g4"', '"\\u 123"', '"\\u+123"', '"\\ud83d\\u12"', '"\\U0041"', '"a\tb"', '"a\nb"', '"a\rb"', '"a\x00b"', '"\x1f"', '"open', "'a'"]:  # fmt: skip
        yield f"the value {value}".replace("\0", "NUL"), message(top=f'"x": {value}').encode()
    for value in ["\xff", "\xc3\x28", "\xc0\xaf", "\xe0\x80\xaf", "\xf4\x90\x80\x80", "\xf8\x88\x80\x80\x80", "\x80", "\xc3", "\xed\xa0", "\xed\xa0\x41", "caf\xe9"]:  # fmt: skip
        yield f"bytes that are no UTF-8: {value!a}", raw(message(top=f'"x": "{value}"'))
        yield f"a name that is no UTF-8: {value!a}", raw(message(top=f'"{value}": 1'))
    yield "bytes that are no UTF-8 between tokens", b"{\xff" + good[1:]
    yield "a surrogate between tokens", b"{\xed\xa0\x80" + good[1:]
    yield "100,000 arrays", [(b"[", 100_000), (b"]", 100_000)]
    yield "50,000 open objects", [(b'{"a":', 50_000)]
    yield "an unknown field of 100,000 arrays", [
        good[:-1] + b', "x": ', (b"[", 100_000), (b"]", 100_000), b"}"]  # fmt: skip
    yield "NaN and then no JSON", message(top='"x": NaN, "y": nan').encode()
    yield "a lone surrogate and then no JSON", message(top='"x": "\\ud800", "y": nan').encode()
    for encoding in ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"]:
        yield f"{encoding}, cut within a character", message().encode(encoding)[:-1]
        yield f"{encoding}, one byte behind", message().encode(encoding) + b" "
        yield f"{encoding}, cut off", message()[:-1].encode(encoding)
        yield f"{encoding}, two byte order marks", ("\ufeff\ufeff" + message()).encode(encoding)
        yield f"{encoding}, a control character", message('"x": "\n"').encode(encoding)
    yield "UTF-32 beyond the last code point", b"\0\0\xfe\xff\0\x11\0\0"
    yield "UTF-16 in two orders", b"\xfe\xff" + message().encode("utf-16-le")
    yield "UTF-7", b"+AHs-}"
    yield "a JPEG", b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" + bytes(range(256))
    yield "a PNG", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
    yield "an MP4", b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom"
    yield "gzip", b"\x1f\x8b\x08\0\0\0\0\0\0\x03"
    yield "base64 alone", BASE64.encode()
    yield "a data URL", b"data:image/jpeg;base64," + BASE64.encode()
    yield "XML", b'<?xml version="1.0"?><a/>'
    yield "MessagePack", b"\x82\xactimestamp_ms\x01\xa5image\x80"
    yield "CBOR", b"\xa2\x6ctimestamp_ms\x01\x65image\xa0"


def missing_fields():
    for name in FIELDS:
        yield f"without {name}", message(**{name: None}).encode()
    yield "an empty object", b"{}"
    yield "an empty image", message(image="{}").encode()
    yield "another case", message().replace("image_id", "Image_Id").encode()
    yield "a name with a NUL behind", message().replace("image_id", "image_id\\u0000").encode()
    yield "a name with a lone surrogate", message().replace("image_id", "image_id\\udc00").encode()
    yield "the fields beside the image", message(image="{}", top='"image_id": "a"').encode()
    yield "NaN in a foreign field", b'{"x": NaN}'
    yield "UTF-16", '{"x": 1}'.encode("utf-16")
    yield "the two bytes of an empty object", b"{}\n"


def wrong_types():
    for name in INTEGERS:
        for value in NO_INTEGERS:
            yield f"{name} is {value}", message(**{name: value}).encode()
    for name in ["image_id", "image_bytes"]:
        for value in NO_STRINGS:
            yield f"{name} is {value}", message(**{name: value}).encode()
    for value in ["null", "[]", '"a"', "3", "NaN"]:
        yield f"the image is {value}", message(image=value).encode()
    for value in ["null", "[]", '"a"', "3", "NaN", "-Infinity", "1e999", '"\\ud800"', "true", "[{}]"]:  # fmt: skip
        yield f"the document is {value}", value.encode()
    yield "JSON within a string", json.dumps(message()).encode()
    yield "two bytes of UTF-16", b"1\0"
    yield "two bytes of UTF-16 in the other order", b"\0001"
    yield "a field twice, the last one wrong", message('"image_width": NaN').encode()


def bad_base64():
    for content in ["QUI", "QQ", "QQ=", "Q", "=", "==", "====", "=QUJ", "Q===", "QU=D", "QQ==QUJD", "QQ===", "QUI==", "QUJD QUJD", " QUJD", "QUJD ", "QUJD\\n", "QUJD\\r\\n", "QUJD\\nQUJD", "QUJD\\r\\nQUJD", "\\nQUJD", "QUI=\\n", "QUJD\\t", "QUJ\\u0000", "QUJD\\u0000", "AAA*", "AA-_", "QUJ\u00e9", "QUJD\\u00e4", "\uff21QUJ", "\\ud800QUJ", "QUJD\\udfff", "data:image/jpeg;base64,QUJD", "b'QUJD'", "QUJD.", "QUJD,", "%2FQUJ", "&#47;QUJ", "QUJD\\u2028"]:  # fmt: skip
        yield f"base64 {content}", message(image_bytes=f'"{content}"').encode()
    yield "base64 with a surrogate as three bytes", raw(message(image_bytes='"QUJD\xed\xa0\x80"'))
    yield "base64 in UTF-16 with a line break", message(image_bytes='"QUJD\\n"').encode("utf-16")


def lone_surrogates_in_the_id():
    for value in ["\\ud83d", "cam_\\ud83d", "\\udc00x", "a/\\ud800/b", "\\ude00\\ud83d", "\\ud83d\\ud83d\\ude00"]:  # fmt: skip
        yield f"the id {value}", message(image_id=f'"{value}"').encode()
    yield "the id with a surrogate as three bytes", raw(message(image_id='"\xed\xa0\xbd"'))
    yield "the id with a pair as six bytes", raw(message(image_id='"\xed\xa0\xbd\xed\xb8\x80"'))
    yield "the id with an escape and three bytes", raw(message(image_id='"\\ud83d\xed\xb8\x80"'))
    for encoding in ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"]:
        yield (f"the id in {encoding} with a lone surrogate",
               message(image_id='"\ud83d"').encode(encoding, "surrogatepass"))  # fmt: skip
    yield ("the id in UTF-32 with both halves of a pair",
           message(image_id='"\ud83d\ude00"').encode("utf-32", "surrogatepass"))  # fmt: skip


def differences():
    good = message().encode()
    for name, count in {"one NUL": 1, "two NULs": 2, "100 NULs": 100}.items():
        yield Case(f"{name} behind", [good + b"\0" * count], None, "trailing-nul", good)
    yield Case("a NUL behind a line break", [good + b"\n\0"], None, "trailing-nul", good)
    for encoding in ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"]:
        payload = (message() + "\0").encode(encoding)
        yield Case(f"a NUL behind {encoding}", [payload], None, "trailing-nul", good)
    misspelt = message(image_height=None, extra='"image_heigth": 800').encode()
    yield Case("image_heigth", [misspelt], None, "image-heigth", good)
    for name in INTEGERS:
        for value in ["18446744073709551616", "-9223372036854775809", "1" + "0" * 400]:
            payload = message(**{name: value}).encode()
            yield Case(f"{name} {value[:22]}", [payload], "wrong_type", "integer-range")
    head, tail = message('"x": #').encode().split(b"#")
    yield Case("a foreign integer of 5,000 digits", [head, (b"7", 5000), tail], None, "long-integer", good)  # fmt: skip
    for content in ["QUJD=", "QUJD=="]:
        payload = message(image_bytes=f'"{content}"').encode()
        yield Case(f"base64 {content}", [payload], "bad_base64", "excess-padding")
    deep = message(top='"x": ' + "[" * 1010 + "]" * 1010).encode()
    yield Case("an unknown field of 1,010 arrays", [deep], None, "nesting", good)
    for name, image_id in {
        "empty": "", "a NUL": "a\\u0000", "CR LF": "a\\r\\nb", "DEL": "a\x7f", "a leading slash": "/a",
        "an empty folder": "a//b", "the folder .": "./a", "the folder ..": "../a",
        "a folder of MinIO's": "a__XLDIR__/b", "252 bytes and .jpg": "x" * 252,
        "1,025 bytes": "/".join(["x" * 200] * 5)[:1000] + "/" + "y" * 20,
        "like a mark": "\\u0000string-0",
    }.items():  # fmt: skip
        payload = message(image_id=f'"{image_id}"').encode()
        yield Case(f"an id that is no key: {name}", [payload], "bad_key", "unusable-id")
    yield Case("5 MB of small values", [b'{"x": [', (b"1,", 2_500_000), b"1], ", good[1:]], "too_large", "much-json")  # fmt: skip
    yield Case("4 MB of lone surrogates", [b'{"x": [', (b'"\\ud800",', 400_000), b"1], ", good[1:]], "too_large", "much-json")  # fmt: skip


def cases():
    for name, payload in ordinary():
        yield Case(name, [payload])
    for name, content in foreign_values():
        yield Case(f"foreign: {name}", [content.encode()])
    for name, payload in [*foreign_bytes(), *encodings()]:
        yield Case(name, [payload])
    for name, parts in large():
        yield Case(name, parts)
    for reason, name, parts in large_and_refused():
        yield Case(name, parts, reason)
    for reason, group in {
        "not_json": no_json(), "missing_field": missing_fields(), "wrong_type": wrong_types(),
        "bad_base64": bad_base64(), "bad_key": lone_surrogates_in_the_id(),
    }.items():  # fmt: skip
        for name, payload in group:
            parts = payload if isinstance(payload, list) else [payload]
            yield Case(f"{reason}: {name}", parts, reason)
    yield from differences()


def write():
    CORPUS.write_text("".join(case.line() + "\n" for case in cases()))


if __name__ == "__main__":
    write()
