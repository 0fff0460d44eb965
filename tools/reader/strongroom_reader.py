#!/usr/bin/env python3
"""Reads a whole store directory, from FORMAT.md alone: a second implementation of the format.

usage: ROOM_PASSPHRASE=... strongroom_reader.py DIRECTORY
       strongroom_reader.py --vectors FILE

Prints one JSON object a line: every version of every secret, then every audit log. With --vectors
it checks known answers instead, and prints `CASES n`. Needs Python 3 and the package
`cryptography`. It fails where anything does not open or is not in order.
"""

import base64
import hashlib
import hmac
import json
import os
import pathlib
import sqlite3
import struct
import sys

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

CIPHERS = {1: AESGCM, 2: ChaCha20Poly1305}
ALL = (bytes(CIPHERS), b"\x01")  # suites and formats
CARRIED = ("kind", "key", "seq", "write", "target", "name", "version")
NAMES = ("name", "principal", "rule", "explanation", "source", "reason")
IDENTITY = ("v", "origin", "store_key", "log_key", "certificate")
STATES = {1: "enabled", 2: "disabled", 3: "deleted", 4: "destroyed"}


def sha256(data):
    return hashlib.sha256(data).digest()


def mac(key, data):
    return hmac.new(key, data, hashlib.sha256).digest()


def expand(key, info, length):
    output, block = b"", b""
    for counter in range(1, length // 32 + 2):
        block = mac(key, block + info + bytes([counter]))
        output += block
    return output[:length]


def short(data):
    return struct.pack(">H", len(data)) + data


def padded_len(n):
    if n <= 64:
        return 64
    e = n.bit_length() - 1
    s = e.bit_length()
    step = max(16, 1 << max(e - s, 0))
    return -(-n // step) * step


def key_id(key):
    return expand(key, b"strongroom/key-id/v1\0", 8)


def open_record(key, record, purpose, store, *parts, accepted=ALL):
    assert len(record) >= 94, "damaged"
    assert record[0] in accepted[1] and record[1] in accepted[0], "unknown format"
    assert record[2:10] == key_id(key), "unknown key"
    context = bytes([purpose]) + store + b"".join(short(part) for part in parts)
    info = b"strongroom/record/v1\0" + record[:34] + sha256(context)
    derived = expand(key, info, 64)
    assert hmac.compare_digest(derived[32:], record[46:78]), "not yours"
    return CIPHERS[record[1]](derived[:32]).decrypt(record[34:46], record[78:], None)


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def bytes(self, length):
        assert self.at + length <= len(self.data), "cut short"
        self.at += length
        return self.data[self.at - length : self.at]

    def number(self, length):
        return int.from_bytes(self.bytes(length), "big")

    def short(self):
        return self.bytes(self.number(2))

    def text(self):
        return self.short().decode("utf-8")

    def padding(self):
        rest = self.data[self.at :]
        assert padded_len(self.at) == len(self.data) and not any(rest), "padding"


def lineage(reader):
    reader.bytes(40)
    count = reader.number(1)
    assert 1 <= count <= 8
    reader.bytes(16 * count)


def open_keyring(record, passphrase):
    signed, checksum = record[:-8], record[-8:]
    assert sha256(signed)[:8] == checksum, "checksum"
    message, signature = signed[:-64], signed[-64:]
    reader = Reader(message)
    assert reader.bytes(8) == b"strngrm\0" and reader.number(1) == 1
    store, public = reader.bytes(16), reader.bytes(32)
    Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    assert store_id(public) == store, "store id"
    reader.number(8)
    root = None
    for _ in range(reader.number(1)):
        seal, kind, parameters, wrapped = reader.bytes(8), reader.short(), reader.short(), reader.short()
        if kind != b"passphrase":
            continue
        root = open_passphrase(passphrase, store, seal, kind, parameters, wrapped)
    assert root is not None, "no passphrase seal"
    clear = sha256(message[: reader.at])
    body = Reader(open_record(root, reader.bytes(reader.number(4)), 3, store, clear))
    assert reader.at == len(message)
    lineage(body)
    assert body.bytes(32) == root
    leaving = [body.bytes(32)] if body.number(1) else []
    names, audit, _identity = body.bytes(32), body.bytes(32), body.bytes(32)
    write = body.number(1)
    accepted = tuple(body.bytes(body.number(1)) for _ in range(2))
    for numbers, known in zip(accepted, ALL):
        assert list(numbers) == sorted(set(numbers)) and set(numbers) <= set(known), "accepted"
    assert write in accepted[0] and 1 in accepted[1], "what is written is not accepted"
    body.padding()
    return store, [root, *leaving], names, audit, accepted


def open_passphrase(passphrase, store, seal, kind, parameters, wrapped):
    version, mib, passes, lanes, salt = struct.unpack(">BIII16s", parameters)
    assert version == 1 and 19 <= mib <= 1024
    assert 2 <= passes <= 16 and 1 <= lanes <= 8
    derived = Argon2id(
        salt=salt, length=32, iterations=passes, lanes=lanes, memory_cost=mib * 1024
    ).derive(passphrase)
    return open_record(derived, wrapped, 4, store, seal, kind, parameters)


def store_id(public):
    return sha256(b"strongroom/store-id/v1\0" + public)[:16]


def tokens(key, segments):
    token, chain = bytes(16), b""
    for segment in segments:
        token = mac(key, token + segment.encode())[:16]
        chain += token
    return chain


def pick(keys, record):
    return next(key for key in keys if key_id(key) == record[2:10])


def open_namespace(roots, store, store_names, accepted, key, record):
    opened = open_record(pick(roots, record), record, 2, store, key, accepted=accepted)
    reader = Reader(opened)
    kind, name = reader.number(1), reader.text()
    assert key == b"\x02" + tokens(store_names, [name]), "a namespace record in another place"
    reader.number(8)
    lineage(reader)
    erasing = [reader.bytes(8) for _ in range(reader.number(1))]
    assert erasing == sorted(set(erasing)), "ids to erase out of order"
    if kind == 2:
        reader.padding()
        return None
    ident, names = reader.bytes(8), reader.bytes(32)
    epochs, order = [], []

    def epoch():
        order.append(reader.number(8))
        reader.bytes(8)
        epochs.append(reader.bytes(32))

    epoch()
    for _ in range(reader.number(1)):
        epoch()
    order = [0, *order[1:], order[0]]
    assert order == sorted(set(order)), "epochs out of order"
    reader.padding()
    return ident, (name, names, epochs)


def slot(reader):
    suite, key, nonce, length = reader.number(1), reader.bytes(32), reader.bytes(12), reader.number(4)
    if reader.number(1) == 1:
        place = reader.short()
    else:
        place = (reader.bytes(8), reader.bytes(16), reader.number(1))
    return suite, key, nonce, length, place


def blob_prefix(head_key):
    depth = (len(head_key) - 9) // 16
    return b"\x04" + head_key[1:9] + bytes([depth]) + head_key[9:]


def open_value(records, head_key, slot):
    suite, key, nonce, length, place = slot
    if isinstance(place, tuple):
        seq, random, parts = place
        blob = blob_prefix(head_key) + seq + random
        place = b"".join(records[blob + bytes([part])] for part in range(parts))
    plain = CIPHERS[suite](key).decrypt(nonce, place, None)
    assert len(plain) == padded_len(length) and not any(plain[length:])
    return plain[:length]


def metadata(reader):
    labels = {}
    for _ in range(reader.number(2)):
        name = reader.text()
        labels[name] = reader.text()
    for _ in range(2):
        if reader.number(1):
            reader.text()
    reader.bytes(10)
    return labels


def read_head(records, store, namespaces, accepted, key, record):
    name, names, epochs = namespaces[key[1:9]]
    opened = open_record(pick(epochs, record), record, 1, store, key, accepted=accepted)
    reader = Reader(opened)
    kind, path, seq = reader.number(1), reader.text(), reader.number(8)
    segments = path.split("/")
    assert segments[0] == name
    assert key == b"\x03" + key[1:9] + tokens(names, segments[1:]), "a head in another place"
    lineage(reader)
    reader.bytes(16)
    next_version = reader.number(8)
    reader.bytes(8)
    if kind == 2:
        reader.padding()
        yield {"path": path, "seq": seq, "purged": True, "next_version": next_version}
        return
    secret_kind = reader.text()
    reader.bytes(8)
    labels = metadata(reader)
    for _ in range(reader.number(1)):
        reader.short(), reader.short()
    current, _pending, _previous = (reader.number(8) for _ in range(3))
    for _ in range(reader.number(1)):
        number, state = reader.number(8), STATES[reader.number(1)]
        reader.bytes(16)
        for _ in range(reader.number(1)):
            reader.text(), reader.number(8)
        shown = {"path": path, "seq": seq, "kind": secret_kind, "version": number, "state": state,
                 "current": number == current, "labels": labels}
        if state != "destroyed":
            if reader.number(1) == 1:
                identifiers = reader.short()
            else:
                identifiers = open_value(records, key, slot(reader))
            shown["identifiers"] = json.loads(identifiers)
            shown["value"] = open_value(records, key, slot(reader)).hex()
        yield shown
    reader.padding()


class Tree:
    """The roots of the perfect subtrees over the lines so far, the largest first."""

    def __init__(self, size=0, roots=()):
        heights = [bit for bit in reversed(range(size.bit_length())) if size >> bit & 1]
        assert len(heights) == len(roots)
        self.size, self.subtrees, self.heads = size, list(zip(heights, roots)), {}
        self.heads[size] = self.root()

    def push(self, raw):
        self.subtrees.append((0, sha256(b"\x00" + raw)))
        while len(self.subtrees) > 1 and self.subtrees[-2][0] == self.subtrees[-1][0]:
            (height, left), (_, right) = self.subtrees[-2:]
            self.subtrees[-2:] = [(height + 1, sha256(b"\x01" + left + right))]
        self.size += 1
        self.heads[self.size] = self.root()

    def root(self):
        roots = [root for _, root in self.subtrees]
        if not roots:
            return sha256(b"")
        right = roots.pop()
        while roots:
            right = sha256(b"\x01" + roots.pop() + right)
        return right

    def frontier(self):
        return [root.hex() for _, root in self.subtrees]


SNAPSHOT = "pruned", "kept", "older", "missed", "unsettled", "erased"


class Snapshots:
    """What a log tells of lines that were pruned."""

    def __init__(self):
        self.begun, self.unsigned, self.signed = None, None, []

    def take(self, line, is_rest):
        if line["t"] == "snapshot":
            self.begun = [line]
        elif self.begun is None:
            assert is_rest or line["t"] not in (*SNAPSHOT, "snapshot-end"), "of no snapshot"
        elif line["t"] in SNAPSHOT:
            self.begun.append(line)
        elif line["t"] == "snapshot-end":
            first, *lines = self.begun
            assert line["number"] == first["number"] and int(line["lines"]) == len(lines)
            self.begun, self.unsigned = None, (int(line["number"]), lines)

    def sign(self):
        if self.unsigned:
            self.signed.append(self.unsigned)
        self.unsigned = None


def log_lines(path, is_last):
    lines = path.read_bytes().rstrip(b"\0").split(b"\n")
    torn = lines.pop()
    ended = bool(lines) and lines[-1].startswith(b'{"t":"close"')
    assert is_last or not torn, "a segment before the last one is not whole"
    for raw in lines:
        if b"\0" in raw and is_last and not ended:  # lost in a power cut: the log ends here
            return
        yield raw


def read_log(paths, store, audit, accepted):
    """All segments of a log, in order."""
    tree, snapshots = Tree(), Snapshots()
    names, told, opened, erased, first, ended, start = [], set(), {}, [], None, False, 0
    token_key = expand(audit, b"strongroom/token/v1\0", 32)
    log = bytes.fromhex(paths[0].name.split(".")[0])
    number = int(paths[0].name.split(".")[1]) if paths[0].name.count(".") > 1 else 0
    last = number + len(paths) - 1
    for number, path in enumerate(paths, number):
        name = f"{log.hex()}.{number:06}.jsonl" if number else f"{log.hex()}.jsonl"
        assert path.name == name, "a segment is missing"
        to_carry = None
        for raw in log_lines(path, number == last):
            line = json.loads(raw)
            assert json.dumps(line, separators=(",", ":"), ensure_ascii=False).encode() == raw
            if first is None and number:  # all before it was pruned: it signs what that was
                start = int(line["size"])
                tree = Tree(start, [bytes.fromhex(root) for root in line["frontier"]])
            first = first or line
            snapshots.take(line, start > 0)
            if to_carry and line["t"] not in ("name", "carried"):
                raise AssertionError("an open write is not carried over")
            if to_carry is None:
                assert line["t"] == ("segment" if number else "open")
                to_carry, told = sorted(opened) if number else [], set()
                if start and tree.size == start:
                    to_carry = [None] * int(line["carried"])
            if line["t"] == "name":
                sealed = bytes.fromhex(line["sealed"])
                reader = Reader(open_record(audit, sealed, 6, store, log, accepted=accepted))
                name = reader.text()
                reader.padding()
                token = mac(token_key, bytes([int(line["class"])]) + name.encode())[:16]
                assert token.hex() == line["token"], "a name under another token"
                told.add(line["token"])
                names.append(name)
            if line["t"] not in SNAPSHOT:  # it tells again of lines that may be gone
                assert all(line[k] in told for k in NAMES if k in line), "a name is not told before"
            if "count" in line:
                assert line["t"] == "decision" and line["effect"] != "allow"
                assert 1 < int(line["count"]) < 1 << 64, "a count"
            if line["t"] == "intent":
                erased += line.get("erases", [])
                opened[tree.size] = [line.get(k) for k in CARRIED]
            if line["t"] == "outcome" and line["log"] == log.hex() and line["outcome"] != "unknown":
                opened.pop(int(line["intent"]), None)
            if line["t"] == "carried":
                intent = int(line["intent"])
                assert to_carry and to_carry.pop(0) in (intent, None)
                if intent < start:
                    opened.setdefault(intent, [line.get(k) for k in CARRIED])
                assert opened[intent] == [line.get(k) for k in CARRIED]
            if line["t"] == "segment":
                assert int(line["number"]) == number and int(line["carried"]) == len(to_carry)
                assert line["frontier"] == tree.frontier()
                assert all(line[k] == first[k] for k in IDENTITY)
            if line["t"] in ("checkpoint", "segment"):
                origin, root = first["origin"], tree.root()
                assert int(line["size"]) == tree.size
                assert line.get("root", root.hex()) == root.hex()
                note = f"{origin}\n{tree.size}\n{base64.b64encode(root).decode()}\n"
                log_key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(first["log_key"]))
                log_key.verify(bytes.fromhex(line["signature"]), note.encode())
                snapshots.sign()
            ended = line["t"] == "close"
            if ended:
                root = tree.root()
                assert int(line["size"]) == tree.size and line["root"] == root.hex()
                message = b"strongroom/log-close/v1\0" + first["origin"].encode() + b"\0"
                message += struct.pack(">QQ", int(line["at"]), tree.size) + root
                message += struct.pack(">Q", int(line["registered"]))
                log_key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(first["log_key"]))
                log_key.verify(bytes.fromhex(line["signature"]), message)
                snapshots.sign()
            tree.push(raw)
        assert to_carry == [], "an open write is not carried over"
    assert first["t"] == ("segment" if start else "open")
    assert first["origin"] == f"strongroom/{store.hex()}/{log.hex()}"
    certified = b"strongroom/log-certificate/v1\0" + store + log + bytes.fromhex(first["log_key"])
    key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(first["store_key"]))
    key.verify(bytes.fromhex(first["certificate"]), certified)
    shown = {"log": log.hex(), "lines": tree.size, "root": tree.root().hex(), "names": names}
    directory = bytes.fromhex(first["directory"])
    return shown, Log(tree, start, ended, directory, snapshots.signed, erased)


class Log:
    def __init__(self, tree, start, ended, directory, snapshots, erased):
        self.tree, self.start, self.ended, self.directory = tree, start, ended, directory
        self.snapshots, self.erased = snapshots, erased


def check_pruned(logs, records):
    """What is gone of the logs, against the newest snapshot. Logs that are gone, with their sizes."""
    newest = max((found for log in logs.values() for found in log.snapshots), default=(0, []))
    lines = newest[1]
    parts = {line["log"]: line for line in lines if line["t"] == "pruned"}
    for name, log in logs.items():
        part = parts.get(name)
        assert log.start == 0 or part and log.start <= int(part["size"]), "lines are missing"
        if part and log.tree.size >= int(part["size"]):
            assert log.tree.heads[int(part["size"])].hex() == part["root"], "other lines were pruned"
    assert all(part["rest"] != "open" or name in logs for name, part in parts.items())
    erased = [prefix for log in logs.values() for prefix in log.erased]
    erased += [line["key"] for line in lines if line["t"] == "erased"]
    for line in lines:
        if line["t"] == "kept" and not line["key"].startswith(tuple(erased)):
            assert bytes.fromhex(line["key"]) in records, "a record was dropped"
    return {name: int(part["size"]) for name, part in parts.items() if part["rest"] != "open"}


def check_registry(store, directories, key, record, logs, gone):
    """What the storage keeps of a log, against the log."""
    version, public, log, place, stage, size, root, signature = struct.unpack(
        ">B32s8s8sBQ32s64s", record
    )
    assert version == 1 and key[1:] == log and store_id(public) == store
    message = b"strongroom/log-registry/v1\0" + record[:-64]
    Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    if place not in directories or stage == 4:  # kept elsewhere, or lost and accepted
        return
    if log.hex() in gone:
        assert size <= gone[log.hex()]
        return
    found = logs[log.hex()]
    assert stage < 5 and found.tree.size >= size, "a log that was cut"
    if size >= found.start:
        assert found.tree.heads[size] == root, "a log that was replaced"
    if stage > 1:  # ended by its writer, with one more line; or settled
        assert found.ended == (stage == 2) and found.tree.size == size + (stage == 2)


class Vector(dict):
    """A vector whose bytes are asked for by name."""

    def hex(self, name):
        return bytes.fromhex(self[name])


def storage_key(v):
    if v["kind"] == "keyring":
        return b"\x01"
    if v["kind"] == "namespace":
        return b"\x02" + tokens(v.hex("name_key"), [v["namespace"]])
    if v["kind"] == "log registry":
        return b"\x05" + v.hex("log_id")
    segments = v["path"].split("/")[1:]
    head = b"\x03" + v.hex("namespace_id") + tokens(v.hex("name_key"), segments)
    if v["kind"] == "head":
        return head
    return blob_prefix(head) + struct.pack(">Q", v["seq"]) + v.hex("random") + bytes([v["part"]])


def check_record(v):
    record, parts = v.hex("record"), [bytes.fromhex(part) for part in v["parts"]]
    assert record[1] == v["suite"]
    assert "sha256" not in v or sha256(record).hex() == v["sha256"]
    opened = open_record(v.hex("key"), record, v["purpose"], v.hex("store_id"), *parts)
    assert opened == v.hex("plaintext")


def check_value(v):
    value = v.hex("value")
    slot = v["suite"], v.hex("key"), v.hex("nonce"), len(value), v.hex("ciphertext")
    assert open_value({}, b"", slot) == value


def check_seal(v):
    bound = v.hex("store_id"), v.hex("seal_id"), v["kind"].encode(), v.hex("parameters")
    opened = open_passphrase(v["passphrase"].encode(), *bound, v.hex("wrapped"))
    assert opened == v.hex("root_key")


def check_keyring(v):
    store, roots, names, audit, accepted = open_keyring(v.hex("record"), v["passphrase"].encode())
    leaving = [v.hex("leaving_root_key")] if v["leaving_root_key"] else []
    assert (store, roots) == (v.hex("store_id"), [v.hex("root_key"), *leaving])
    assert (names, audit) == (v.hex("store_name_key"), v.hex("audit_key"))
    assert accepted == (bytes(v["suites"]), bytes(v["formats"]))


def check_namespace(v):
    roots, key, record = [v.hex("root_key")], v.hex("storage_key"), v.hex("record")
    assert open_record(roots[0], record, 2, v.hex("store_id"), key) == v.hex("plaintext")
    found = open_namespace(roots, v.hex("store_id"), v.hex("store_name_key"), ALL, key, record)
    assert (found is not None) == v["live"]
    if found:
        ident, (name, _names, epochs) = found
        assert (ident, name) == (v.hex("namespace_id"), v["name"])
        assert epochs == [bytes.fromhex(key) for key in v["epoch_keys"]]


def check_head(v):
    key, epoch = v.hex("storage_key"), v.hex("epoch_key")
    assert open_record(epoch, v.hex("record"), 1, v.hex("store_id"), key) == v.hex("plaintext")
    namespaces = {key[1:9]: (v["namespace"], v.hex("name_key"), [epoch])}
    blobs = {bytes.fromhex(key): bytes.fromhex(part) for key, part in v["blobs"].items()}
    values = []
    for shown in read_head(blobs, v.hex("store_id"), namespaces, ALL, key, v.hex("record")):
        assert (shown["path"], shown["seq"]) == (v["path"], v["seq"])
        assert shown.get("purged", False) == v["purged"]
        values.append(shown.get("value"))
    assert values == v["values"]


def check_name(v):
    audit, log, text = v.hex("audit_key"), v.hex("log_id"), v["text"].encode()
    key = expand(audit, b"strongroom/token/v1\0", 32)
    assert mac(key, bytes([v["class"]]) + text)[:16] == v.hex("token")
    opened = open_record(audit, v.hex("sealed"), 6, v.hex("store_id"), log)
    assert opened == short(text).ljust(padded_len(len(text) + 2), b"\0")


def holds(claim):
    assert claim


CHECKS = {
    "key_ids": lambda v: holds(key_id(v.hex("key")) == v.hex("key_id")),
    "store_ids": lambda v: holds(store_id(v.hex("verification_key")) == v.hex("store_id")),
    "storage_keys": lambda v: holds(storage_key(v) == v.hex("key")),
    "records": check_record,
    "padding": lambda v: holds(padded_len(v[0]) == v[1]),
    "values": check_value,
    "passphrase_seals": check_seal,
    "keyrings": check_keyring,
    "namespaces": check_namespace,
    "heads": check_head,
    "audit_names": check_name,
}


def check_vectors(path):
    vectors, cases = json.loads(pathlib.Path(path).read_text()), 0
    vectors.pop("about", None)
    for part, list_of_them in vectors.items():
        assert list_of_them, part
        for at, vector in enumerate(list_of_them):
            try:
                CHECKS[part](Vector(vector) if isinstance(vector, dict) else vector)
            except Exception as error:
                raise AssertionError(f"{part}[{at}]") from error
            cases += 1
    print(f"CASES {cases}")


def main():
    if sys.argv[1] == "--vectors":
        return check_vectors(sys.argv[2])
    directory = pathlib.Path(sys.argv[1])
    passphrase = os.environb[b"ROOM_PASSPHRASE"]
    database = sqlite3.connect(f"file:{directory / 'secrets.db'}?mode=ro", uri=True)
    records = {bytes(k): bytes(v) for k, v in database.execute("SELECT k, v FROM records")}
    store, roots, store_names, audit, accepted = open_keyring(records[b"\x01"], passphrase)
    namespaces = {}
    for key, record in records.items():
        if key[0] == 2:
            found = open_namespace(roots, store, store_names, accepted, key, record)
            if found:
                namespaces[found[0]] = found[1]
    for key, record in sorted(records.items()):
        if key[0] == 3:
            for shown in read_head(records, store, namespaces, accepted, key, record):
                print(json.dumps(shown))
    logs, directories = {}, set()
    files = {}
    for path in (directory / "audit").glob("*.jsonl"):
        files.setdefault(path.name.split(".")[0], []).append(path)
    for log, paths in sorted(files.items()):
        paths.sort(key=lambda path: (len(path.name), path.name))  # the first has a shorter name
        shown, logs[log] = read_log(paths, store, audit, accepted)
        directories.add(logs[log].directory)
        print(json.dumps(shown))
    gone = check_pruned(logs, records)
    for key, record in records.items():
        if key[0] == 5:
            check_registry(store, directories, key, record, logs, gone)


if __name__ == "__main__":
    main()
