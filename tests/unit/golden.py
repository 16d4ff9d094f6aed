#!/usr/bin/python3
"""The golden bytes of docs/protocol.md: encodes its examples with Python's msgpack.

golden.py --fill writes the bytes below each example; golden.py --check fails if they differ.
A second encoder, so that the document does not merely repeat what our own codecs do.
"""

import json
import re
import sys
from pathlib import Path

import msgpack

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "protocol.md"
BLOCK = re.compile(r"^```golden (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BYTES_A_LINE = 32


def unique(pairs):
    """A JSON object; a key that stands twice would silently drop bytes."""
    keys = [key for key, _ in pairs]
    if len(set(keys)) != len(keys):
        raise ValueError(f"a key stands twice: {keys}")
    return dict(pairs)


def encodable(value):
    """Turns {"$bin": X} into the bytes of X."""
    if isinstance(value, dict):
        if list(value) == ["$bin"]:
            return msgpack.packb(encodable(value["$bin"]))
        return {key: encodable(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [encodable(inner) for inner in value]
    return value


def hex_lines(data):
    rows = [data[i : i + BYTES_A_LINE] for i in range(0, len(data), BYTES_A_LINE)]
    return "".join(row.hex(" ") + "\n" for row in rows)


def expected(name, body):
    """The block's text as it should be."""
    line = body.split("\n", 1)[0]
    try:
        value = json.loads(line, object_pairs_hook=unique)
    except ValueError as error:
        sys.exit(f"{DOCUMENT.name}: golden {name}: {error}")
    return f"{line}\n{hex_lines(msgpack.packb(encodable(value)))}"


def main():
    if sys.argv[1:] not in (["--fill"], ["--check"]):
        sys.exit("usage: golden.py --fill | --check")
    text = DOCUMENT.read_text(encoding="utf-8")
    blocks = BLOCK.findall(text)
    names = [name for name, _ in blocks]
    if not names or len(set(names)) != len(names):
        sys.exit(f"{DOCUMENT.name}: no golden blocks, or one name twice")
    if sys.argv[1] == "--fill":
        filled = BLOCK.sub(
            lambda block: f"```golden {block[1]}\n{expected(block[1], block[2])}```", text)
        if filled != text:
            DOCUMENT.write_text(filled, encoding="utf-8")
        return
    wrong = [name for name, body in blocks if body != expected(name, body)]
    if wrong:
        sys.exit(f"{DOCUMENT.name}: bytes differ from their JSON: {', '.join(wrong)};"
                 " golden.py --fill writes them")
    print(f"{DOCUMENT.name}: {len(blocks)} golden blocks agree")


if __name__ == "__main__":
    main()
