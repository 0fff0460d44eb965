#!/usr/bin/env python3
"""A witness for transparency logs, from the text of C2SP tlog-witness alone.

usage: tlog_witness.py DIRECTORY NAME LOG_KEY...

Co-signs each checkpoint of a log that only grew since the last one, and no other:
    https://c2sp.org/tlog-witness       the protocol
    https://c2sp.org/tlog-cosignature   what it answers with
    https://c2sp.org/tlog-checkpoint    what it is asked about
    https://c2sp.org/signed-note        what all of them are

LOG_KEY is a verifier key, `name+key id+base64`, and its name is the log's origin. DIRECTORY keeps
the witness's own key, which is made there, and of each log the last checkpoint that was co-signed.
It prints a line `KEY verifier-key` and one `LISTENING port`, and serves on 127.0.0.1 until its
standard input ends. Needs Python 3 and the package `cryptography`.
"""

import base64
import binascii
import fcntl
import hashlib
import http.server
import os
import pathlib
import re
import sys
import threading
import time

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

ED25519, COSIGNATURE = 1, 4  # signature types of signed-note
MOST_PROOF_LINES = 63
MOST_BYTES = 1 << 20
DECIMAL = re.compile(r"0|[1-9][0-9]*", re.ASCII)


class Refused(Exception):
    """An answer other than 200."""

    def __init__(self, status, why, kind="text/plain; charset=utf-8"):
        super().__init__(why)
        self.status, self.kind = status, kind


def malformed(why):
    return Refused(400, why + "\n")


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def from_base64(text):
    """Standard base64 in its one spelling: with padding, and no bits to spare."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise malformed("a line is not base64") from None
    if base64.b64encode(data).decode() != text:
        raise malformed("a line is not base64")
    return data


def number(text):
    if not DECIMAL.fullmatch(text) or len(text) > 20:
        raise malformed("a size is not a decimal number")
    return int(text)


def key_id(name, kind, public):
    return sha256(name.encode(), b"\n", bytes([kind]), public)[:4]


def verifier_key(name, kind, public):
    encoded = base64.b64encode(bytes([kind]) + public).decode()
    return f"{name}+{key_id(name, kind, public).hex()}+{encoded}"


def read_verifier_key(text):
    """Name and key; base64 may hold plus signs, a name may not."""
    name, ident, encoded = text.split("+", 2)
    key = from_base64(encoded)
    assert len(key) == 33 and key[0] == ED25519, "not the verifier key of an Ed25519 key"
    assert key_id(name, ED25519, key[1:]).hex() == ident, "the key id is another key's"
    return name, key[1:]


def read_note(note):
    """The text that is signed, and (name, key id, signature) of each signature."""
    if any(ord(c) < 32 and c != "\n" for c in note):
        raise malformed("control characters")
    text, separator, signatures = note.rpartition("\n\n")
    if not separator or not signatures.endswith("\n"):
        raise malformed("not a signed note")
    found = []
    for line in signatures[:-1].split("\n"):
        dash, _, rest = line.partition(" ")
        name, _, encoded = rest.partition(" ")
        if dash != "\u2014" or not name or "+" in name or any(c.isspace() for c in name):
            raise malformed("a signature is not in order")
        signature = from_base64(encoded)
        if len(signature) < 5:
            raise malformed("a signature is too short")
        found.append((name, signature[:4], signature[4:]))
    return text + "\n", found


def read_checkpoint(text):
    """Origin, size and root. Further lines are the log's own business."""
    lines = text[:-1].split("\n")
    if len(lines) < 3 or not all(lines):
        raise malformed("not a checkpoint")
    root = from_base64(lines[2])
    if len(root) != 32:
        raise malformed("the root is not 32 bytes")
    return lines[0], number(lines[1]), root


def read_request(body):
    """Old size, proof, and the checkpoint as it stands."""
    try:
        request = body.decode("utf-8")
    except UnicodeDecodeError:
        raise malformed("not UTF-8") from None
    head, separator, note = request.partition("\n\n")
    if not separator:
        raise malformed("no empty line before the checkpoint")
    first, *proof = head.split("\n")
    if not first.startswith("old "):
        raise malformed("no old size")
    if len(proof) > MOST_PROOF_LINES:
        raise malformed("more than 63 lines of proof")
    proof = [from_base64(line) for line in proof]
    if any(len(digest) != 32 for digest in proof):
        raise malformed("a line of the proof is not 32 bytes")
    return number(first[len("old ") :]), proof, note


def node(left, right):
    return sha256(b"\x01", left, right)


def largest_power_below(n):
    return 1 << ((n - 1).bit_length() - 1)


def roots_of_proof(old, new, proof, old_root):
    """Both roots that a consistency proof leads to, by the recursion of RFC 6962, section 2.1.2."""
    rest = list(proof)

    def take():
        if not rest:
            raise ValueError("too short")
        return rest.pop()

    def subproof(m, n, is_whole):
        """Roots of the first m and of all n leaves. The proof is taken from its end."""
        if m == n:
            digest = old_root if is_whole else take()
            return digest, digest
        k = largest_power_below(n)
        beside = take()
        if m <= k:
            before, after = subproof(m, k, is_whole)
            return before, node(after, beside)
        before, after = subproof(m - k, n - k, False)
        return node(beside, before), node(beside, after)

    roots = subproof(old, new, True)
    if rest:
        raise ValueError("too long")
    return roots


def is_consistent(old, old_root, new, new_root, proof):
    if old == 0 or old == new:
        return not proof and (old == 0 or old_root == new_root)
    try:
        return roots_of_proof(old, new, proof, old_root) == (old_root, new_root)
    except ValueError:
        return False


class Witness:
    def __init__(self, directory, name, log_keys):
        self.directory, self.name = pathlib.Path(directory), name
        self.directory.mkdir(parents=True, exist_ok=True)
        # One process at a time: two would each check against what the other replaces.
        self.lock_file = open(self.directory / "lock", "w")
        fcntl.flock(self.lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self.lock = threading.Lock()
        self.key = self.own_key()
        self.public = self.key.public_key().public_bytes_raw()
        self.log_keys = {}
        for log_key in log_keys:
            origin, public = read_verifier_key(log_key)
            self.log_keys.setdefault(origin, []).append(public)

    def own_key(self):
        path = self.directory / "key"
        if not path.exists():
            self.keep(path, Ed25519PrivateKey.generate().private_bytes_raw())
        return Ed25519PrivateKey.from_private_bytes(path.read_bytes())

    def keep(self, path, data):
        """Replaces a file as a whole; it is on the medium when this returns."""
        draft = path.with_name(path.name + ".draft")
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
        handle = os.open(self.directory, os.O_RDONLY)
        os.fsync(handle)
        os.close(handle)

    def place(self, origin):
        return self.directory / (hashlib.sha256(origin.encode()).hexdigest() + ".checkpoint")

    def latest(self, origin):
        """Size and root of the last checkpoint that was co-signed; of no leaf where there is none."""
        try:
            text = self.place(origin).read_bytes().decode("utf-8")
        except FileNotFoundError:
            return 0, sha256()
        kept, size, root = read_checkpoint(read_note(text)[0])
        assert kept == origin, "the checkpoint of another log"
        return size, root

    def add_checkpoint(self, body):
        old, proof, note = read_request(body)
        text, signatures = read_note(note)
        origin, size, root = read_checkpoint(text)
        if origin not in self.log_keys:
            raise Refused(404, "unknown log\n")
        if not self.is_signed(origin, text, signatures):
            raise Refused(403, "no signature by a key of this log\n")
        if old > size:
            raise malformed("the old size is larger than the checkpoint's")
        with self.lock:
            known, known_root = self.latest(origin)
            if old != known:
                raise Refused(409, f"{known}\n", "text/x.tlog.size")
            if old == size and root != known_root:
                raise Refused(409, f"{known}\n", "text/x.tlog.size")
            if not is_consistent(old, known_root, size, root, proof):
                raise Refused(422, "the proof does not verify\n")
            self.keep(self.place(origin), note.encode())
            return self.cosign(text)

    def is_signed(self, origin, text, signatures):
        """By a key of the log. One of its keys that signed wrongly spoils the note."""
        keys = {key_id(origin, ED25519, public): public for public in self.log_keys[origin]}
        known = [(keys[i], s) for name, i, s in signatures if name == origin and i in keys]
        try:
            for public, signature in known:
                Ed25519PublicKey.from_public_bytes(public).verify(signature, text.encode())
        except InvalidSignature:
            return False
        return bool(known)

    def cosign(self, text):
        now = int(time.time())
        message = f"cosignature/v1\ntime {now}\n{text}".encode()
        signature = now.to_bytes(8, "big") + self.key.sign(message)
        line = base64.b64encode(key_id(self.name, COSIGNATURE, self.public) + signature).decode()
        return f"\u2014 {self.name} {line}\n"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30
    witness = None

    def do_POST(self):
        try:
            if self.path != "/add-checkpoint":
                raise Refused(404, "no such call\n")
            self.answer(200, self.witness.add_checkpoint(self.body()))
        except Refused as refused:
            self.answer(refused.status, str(refused), refused.kind)

    def body(self):
        length = self.headers.get("Content-Length", "")
        if not DECIMAL.fullmatch(length) or int(length) > MOST_BYTES:
            self.close_connection = True
            raise malformed("no length, or too much")
        return self.rfile.read(int(length))

    def answer(self, status, text, kind="text/plain; charset=utf-8"):
        data = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


def main(arguments):
    if len(arguments) < 3:
        sys.exit(__doc__)
    directory, name, *log_keys = arguments
    witness = Witness(directory, name, log_keys)
    Handler.witness = witness
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print("KEY", verifier_key(name, COSIGNATURE, witness.public))
    print("LISTENING", server.server_port, flush=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()  # whoever started it has gone
    server.shutdown()


if __name__ == "__main__":
    main(sys.argv[1:])
