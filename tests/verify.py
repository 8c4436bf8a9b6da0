#!/usr/bin/env python3
"""A second verifier of nightclerk's audit log, written from src/audit/FORMAT.md alone.

    verify.py [--key VKEY|FILE] [--known NOTE]... [--witness VKEY]... STATE [OUTPUT]
                                    one log; with OUTPUT its files too; exit 0 ok, 1 not ok
    verify.py --each STATE...       one line for each: verdict, first bad entry and its rule, entries signed

Python 3.9, standard library only.
"""

import base64
import functools
import hashlib
import json
import os
import re
import sys
import unicodedata

LINE_MAX = 32768
NOTE_MAX = 16384
INTEGER_MAX = 2**53 - 1
DEPTH_MAX = 8
PARSED_DEPTH_MAX = 127
RESERVED = {
    "config_change", "egress_attempt", "key_rotate",
}
OUTCOMES = ["done", "partial", "refused", "failed", "unchanged", "quarantined", "deferred"]

VERDICTS = ["signed_off", "corrected", "rejected"]

N, S, H16, H32, OUTCOME, VERDICT = "n", "s", "h16", "h32", "outcome", "verdict"
FILES = [{"path": S, "sha256": H32}]
DOC = {"doc": H16, "path": S, "input_sha256": H32, "bytes": N}
COMMON = {"v": N, "seq": N, "prev": H32, "ts": S, "mono_ms": N, "run": H16, "salt": H16, "event": S}
KINDS = {
    "genesis": {"origin": S, "log_vkey": S, "run_vkey": S, "tool": S},
    "checkpoint_exported": {"size": N, "root": H32},
    "verify_result": {
        "what": S, "job": S, "sha256": H32, "documents": N, "f1_milli": N, "f1_min_milli": N,
        "fields": [{"name": S, "found": N, "wrong": N, "missed": N}],
    },
    "run_start": {
        "inventory": {"count": N, "bytes": N, "root": H32},
        "binary": {"version": S, "sha256": S},
        "model": {"file": S, "sha256": H32, "bytes": N},
        "jobs_sha256": H32,
        "shapes": [{"name": S, "sha256": H32}],
        "engine": {"threads": N, "slots": N, "memory_bytes": N, "isa": S, "number_rules": N},
        "host": {"name": S, "kernel": S, "boot_id": S},
        "actor": {"uid": N, "login_uid": N},
        "isolation": {
            "require": S, "namespace": S, "interfaces": [S], "landlock": N,
            "tries": [{"from": S, "way": S, "result": S}],
        },
        "pid": N, "tz": S, "run_vkey": S, "prev_checkpoint": S,
    },
    "doc_start": {**DOC, "shape": H32, "attempt": N},  # and PART, which may be there
    "doc_done": {
        **DOC, "shape": H32, "outcome": OUTCOME, "outputs": FILES, "text_sha256": H32,
        "transcript_sha256": H32, "pages": N, "prompt_tokens": N, "answer_tokens": N, "warnings": N,
        "supersedes": N, "ms": N,
    },
    "doc_fail": {**DOC, "shape": H32, "class": S, "detail": S, "attempts": N, "outputs": FILES},
    "doc_skip": {**DOC, "outcome": OUTCOME, "reason": S, "rests_on": N, "outputs": FILES},
    "recovered": {"torn_len": N, "torn_sha256": H32, "good_entries": N, "orphans": [S]},
    "clock_step": {"before": S},
    "tables": {"job": S, "outputs": FILES, "kept": FILES},
    "erase": {"doc": H16, "path": S, "job": S, "reason": S, "outputs": FILES, "tables": FILES},
    "run_end": {
        "counts": {outcome: N for outcome in OUTCOMES},
        "prompt_tokens": N, "answer_tokens": N, "seconds": N, "outputs_root": H32, "log_size": N,
        "log_root": H32, "exit_code": N,
    },
    "review": {
        "doc": H16, "path": S, "record_sha256": H32, "field": S, "verdict": VERDICT, "reviewer": S,
        "workbook_sha256": H32, "words_sha256": H32,
    },
}
PART = {
    "rows": N, "bytes": N, "sha256": H32, "text_sha256": H32, "transcript_sha256": H32, "tokens_read": N,
    "tokens_sent": N, "prompt_tokens": N, "answer_tokens": N, "partial": N, "flagged": N,
}
IN_RUN = {"doc_start", "doc_done", "doc_fail", "doc_skip", "tables", "run_end"}


class Bad(Exception):
    """A rule of section 5 that an entry breaks."""

    def __init__(self, rule, message):
        super().__init__(message)
        self.rule, self.message = rule, message


class Unreadable(Exception):
    """A line that is no JSON object in UTF-8."""


def sha256(data):
    return hashlib.sha256(data).digest()


def leaf(data):
    return sha256(b"\0" + data)


class Tree:
    """RFC 6962 section 2.1 over leaves that come one by one."""

    def __init__(self):
        self.size, self.peaks = 0, []  # peaks: (leaves below, hash), left to right

    def push(self, digest):
        count = 1
        while self.peaks and self.peaks[-1][0] == count:
            digest = sha256(b"\1" + self.peaks.pop()[1] + digest)
            count *= 2
        self.peaks.append((count, digest))
        self.size += 1

    def root(self):
        if not self.peaks:
            return sha256(b"")
        digest = self.peaks[-1][1]
        for _, left in reversed(self.peaks[:-1]):
            digest = sha256(b"\1" + left + digest)
        return digest


def root_over(texts):
    tree = Tree()
    for text in texts:
        tree.push(leaf(text.encode()))
    return tree.root().hex()


# Section 2.

ESCAPES = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def canonical_string(text):
    escape = lambda c: ESCAPES.get(c) or ("\\u%04x" % ord(c) if c < " " else c)
    return '"' + "".join(map(escape, text)) + '"'


def canonical(value, depth=1):
    if depth > DEPTH_MAX:
        raise Bad("canonical", "nested too deep")
    if isinstance(value, str):
        return canonical_string(value)
    if isinstance(value, int) and not isinstance(value, bool):
        if abs(value) > INTEGER_MAX:
            raise Bad("canonical", "a number is too large")
        return str(value)
    if isinstance(value, list):
        return "[" + ",".join(canonical(item, depth + 1) for item in value) + "]"
    if isinstance(value, dict):
        if not all(key.isascii() for key in value):
            raise Bad("canonical", "a key is not ASCII")
        pairs = (canonical_string(k) + ":" + canonical(value[k], depth + 1) for k in sorted(value))
        return "{" + ",".join(pairs) + "}"
    raise Bad("canonical", "a value that the format does not use")


def finite(text, kind=float):
    if float(text) in (float("inf"), float("-inf")):
        raise ValueError("number out of range")
    return kind(text)


def no_constant(text):
    raise ValueError(text)


def depth(value):
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if items is None else 1 + max(map(depth, items), default=0)


def parse(line, **reading):
    """The JSON object in a line (bytes, without LF)."""
    try:
        text = line.decode("utf-8")
        integer = lambda text: finite(text, int)
        value = json.loads(text, parse_float=finite, parse_int=integer, parse_constant=no_constant, **reading)
        if depth(value) > PARSED_DEPTH_MAX:
            raise ValueError("nested too deep")
        json.dumps(value, ensure_ascii=False).encode("utf-8")  # a lone surrogate is no character
    except (ValueError, RecursionError) as error:
        raise Unreadable(str(error)) from None
    if not isinstance(value, dict):
        raise Unreadable("not an object")
    return value


# Section 4.

def has_type(value, kind):
    if isinstance(kind, dict):
        return isinstance(value, dict) and all(
            key in value and has_type(value[key], of) for key, of in kind.items())
    if isinstance(kind, list):
        return isinstance(value, list) and all(has_type(item, kind[0]) for item in value)
    if kind == N:
        return isinstance(value, int) and value >= 0
    if not isinstance(value, str):
        return False
    if kind == OUTCOME:
        return value in OUTCOMES
    if kind == VERDICT:
        return value in VERDICTS
    digits = {H16: 32, H32: 64}.get(kind)
    return digits is None or re.fullmatch("[0-9a-f]{%d}" % digits, value) is not None


def is_time(text):
    shape = r"[0-9]{4}-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})\.[0-9]{3}Z"
    match = re.fullmatch(shape, text)
    if not match:
        return False
    month, day, hour, minute, second = map(int, match.groups())
    return 1 <= month <= 12 and 1 <= day <= 31 and hour < 24 and minute < 60 and second < 60


def check_fields(entry):
    if not has_type(entry, COMMON):
        raise Bad("fields", "a common field is missing or of the wrong type")
    event = entry["event"]
    if event in KINDS:
        if not has_type(entry, KINDS[event]):
            raise Bad("fields", "a field of %s is missing or of the wrong type" % event)
        if event == "doc_start" and "part" in entry and not has_type(entry["part"], PART):
            raise Bad("fields", "a field of part is missing or of the wrong type")
    elif event not in RESERVED:
        raise Bad("fields", "no kind of entry is called %r" % event)
    if entry["v"] != 1:
        raise Bad("fields", "version %d" % entry["v"])
    if not is_time(entry["ts"]):
        raise Bad("fields", "ts is not a time")


def parsed(line):
    """The entry in a line that follows sections 2 and 4. Not to be changed: with --each it is kept for the next."""
    entry = parse(line)
    try:
        if canonical(entry).encode() != line:
            raise Bad("canonical", "written another way")
    except Bad:
        # What stands at a key that comes again is gone from the entry, and may be no JSON.
        parse(line, object_pairs_hook=lambda pairs: dict(enumerate(one for pair in pairs for one in pair)))
        raise
    check_fields(entry)
    return entry


# Section 5.

def check_paths(files):
    paths = [file["path"] for file in files]
    for path in paths:
        if any(part in ("", ".", "..") for part in path.split("/")) or "\0" in path:
            raise Bad("path", "%r" % path)
    if len(set(paths)) != len(paths):
        raise Bad("path", "a path is there twice")


# Ed25519, RFC 8032 sections 5.1 and 6; points are (X, Y, Z, T).

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P


def add(a, b):
    m, n = (a[1] - a[0]) * (b[1] - b[0]) % P, (a[1] + a[0]) * (b[1] + b[0]) % P
    c, d = 2 * a[3] * b[3] * D % P, 2 * a[2] * b[2] % P
    e, f, g, h = n - m, d - c, d + c, n + m
    return e * f % P, g * h % P, f * g % P, e * h % P


def multiply(factor, point):
    result = (0, 1, 1, 0)
    while factor:
        if factor & 1:
            result = add(result, point)
        point = add(point, point)
        factor >>= 1
    return result


def same(a, b):
    return (a[0] * b[2] - b[0] * a[2]) % P == 0 and (a[1] * b[2] - b[1] * a[2]) % P == 0


def point_of(data):
    """The point that 32 bytes encode, or None."""
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & (1 << 255) - 1
    if y >= P:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    if (x * x - square) % P or (x == 0 and sign):
        return None
    if x & 1 != sign:
        x = P - x
    return x, y, 1, x * y % P


BASE = point_of((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))


@functools.lru_cache(maxsize=None)
def ed25519(public, message, signature):
    """Whether the signature holds; points of small order do not count."""
    if len(public) != 32 or len(signature) != 64:
        return False
    key, nonce = point_of(public), point_of(signature[:32])
    scalar = int.from_bytes(signature[32:], "little")
    if key is None or nonce is None or scalar >= ORDER:
        return False
    if any(same(multiply(8, point), (0, 1, 1, 0)) for point in (key, nonce)):
        return False
    hashed = hashlib.sha512(signature[:32] + public + message).digest()
    factor = int.from_bytes(hashed, "little") % ORDER
    return same(multiply(scalar, BASE), add(nonce, multiply(factor, key)))


# Section 6: notes and keys.

def unbase64(text):
    """The bytes, or None where the text is not their one base64."""
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        return None
    return data if base64.b64encode(data).decode() == text else None


class Vkey:
    """name+id+base64(type, key); `kind` is the type byte."""

    def __init__(self, text):
        self.text = text
        name, plus, rest = text.partition("+")
        digits, plus, key = rest.partition("+")
        data = unbase64(key) if key.isascii() else None
        bad = any(c.isspace() or unicodedata.category(c) == "Cc" for c in name)
        if not name or bad or data is None or len(data) != 33 or data[0] not in (1, 4):
            raise ValueError("not a verifier key: " + text)
        self.name, self.kind, self.public = name, data[0], data[1:]
        self.id = sha256(name.encode() + b"\n" + data)[:4]
        if digits != self.id.hex():
            raise ValueError("not a verifier key: " + text)


def vkey_named(text, name):
    try:
        key = Vkey(text)
    except ValueError:
        raise Bad("key", "not a verifier key") from None
    if key.name != name or key.kind != 1:
        raise Bad("key", "not an Ed25519 key named " + name)
    return key


class Note:
    """Text and signature lines; ValueError where the form is wrong."""

    def __init__(self, data):
        if len(data) > NOTE_MAX:
            raise ValueError("too long")
        note = data.decode("utf-8")
        if any(c < " " and c != "\n" for c in note):
            raise ValueError("a control character")
        text, gap, lines = note.partition("\n\n")
        if not gap or not lines.endswith("\n"):
            raise ValueError("no signatures")
        self.text, self.lines = text + "\n", []
        for line in lines[:-1].split("\n"):
            head, space, payload = line[2:].partition(" ")
            signature = unbase64(payload) if payload.isascii() else None
            if not line.startswith("\u2014 ") or not head or "+" in head or not space \
                    or signature is None or len(signature) < 4:
                raise ValueError("a signature line")
            self.lines.append((head, signature[:4], signature[4:]))

    def checkpoint(self):
        """(origin, size, root)"""
        lines = self.text.split("\n")
        if len(lines) != 4 or not re.fullmatch("0|[1-9][0-9]*", lines[1]) or int(lines[1]) >= 2**64:
            raise ValueError("not a checkpoint")
        root = unbase64(lines[2]) if lines[2].isascii() else None
        if root is None or len(root) != 32:
            raise ValueError("not a root")
        return lines[0], int(lines[1]), root

    def signature(self, key):
        """The one signature of the key, or None."""
        own = [s for name, id, s in self.lines if (name, id) == (key.name, key.id)]
        if len(own) > 1:
            raise Bad("signature", "a signature of %s is there twice" % key.name)
        return own[0] if own else None

    def check(self, key):
        signature = self.signature(key)
        if signature is None or not ed25519(key.public, self.text.encode(), signature):
            raise Bad("signature", "the signature of %s is missing or false" % key.name)

    def cosigned(self, key):
        signature = self.signature(key)
        if signature is None:
            return False
        head = "cosignature/v1\ntime %d\n" % int.from_bytes(signature[:8], "big")
        if not ed25519(key.public, (head + self.text).encode(), signature[8:]):
            raise Bad("signature", "the signature of witness %s is false" % key.name)
        return True


class Keys:
    """The log's key, that of the run in force, and the one named last."""

    def __init__(self, genesis):
        self.log = vkey_named(genesis["log_vkey"], genesis["origin"])
        self.in_force = self.named = self.of_run(genesis)

    def of_run(self, entry):
        return vkey_named(entry["run_vkey"], "%s/run/%s" % (self.log.name, entry["run"]))


class Run:
    def __init__(self, entry):
        self.id, self.inventory = entry["run"], entry["inventory"]
        self.shapes = {shape["sha256"] for shape in entry["shapes"]}
        self.started, self.ended = {}, {}
        self.counts = dict.fromkeys(OUTCOMES, 0)
        self.prompt_tokens = self.answer_tokens = 0


class Chain:
    def __init__(self):
        self.tree, self.last, self.last_leaf, self.origin = Tree(), None, None, ""
        self.run, self.runs, self.cut_off, self.steps = None, set(), 0, []
        self.keys, self.signed, self.signed_text = None, 0, None
        self.answers, self.done, self.failed, self.files = {}, {}, {}, {}  # by doc
        self.tables = {}  # outputs and kept, by job
        self.paths, self.inputs, self.erased = {}, {}, {}  # by doc: path, last input, seq and input
        self.vouched_paths = set()
        self.words = {}  # digests of what reviewers wrote, by doc

    def vouched(self):
        files = {}
        for outputs in list(self.files.values()) + [t["outputs"] for t in self.tables.values()]:
            files.update((file["path"], file["sha256"]) for file in outputs)
        return files

    def check(self, e):
        if e["seq"] != self.tree.size:
            raise Bad("seq", "seq is %d, not %d" % (e["seq"], self.tree.size))
        event, last = e["event"], self.last
        if (last is None) != (event == "genesis"):
            raise Bad("genesis", "genesis is the first entry and no other")
        if last is None:
            text = "nightclerk/genesis/v1\0%s\n%s" % (e["origin"], e["log_vkey"])
            prev = sha256(text.encode())
        else:
            prev = self.last_leaf
        if e["prev"] != prev.hex():
            raise Bad("prev", "does not fit the entry before")
        if last is not None:
            if event == "clock_step":
                if e["before"] != last["ts"]:
                    raise Bad("time", "clock_step does not name the time before")
            elif e["ts"] < last["ts"]:
                raise Bad("time", "runs backwards")
            if e["run"] == last["run"] and e["mono_ms"] < last["mono_ms"]:
                raise Bad("time", "mono_ms runs backwards")
        if event == "run_start" and e["run"] in self.runs:
            raise Bad("run", "starts a second time")
        if event == "genesis" and (e["log_vkey"] or e["run_vkey"]):
            Keys(e)
        if event == "run_start":
            self.check_keys(e)
        if event == "checkpoint_exported" and e["size"] > e["seq"]:
            raise Bad("rests_on", "exports what is not before it")
        if event == "erase":
            self.check_erase(e)
        if event in IN_RUN:
            if self.run is None or self.run.id != e["run"]:
                raise Bad("run", "outside of its run")
            if event.startswith("doc_") and e["doc"] in self.run.ended:
                raise Bad("outcome", "the document already has its outcome")
            if event in ("doc_start", "doc_done") and e["shape"] not in self.run.shapes:
                raise Bad("shape", "not among the run's")
            if event not in ("doc_start", "run_end"):
                self.check_outputs(e)
            getattr(self, "check_" + event, lambda e: None)(e)

    def check_keys(self, e):
        if self.keys is None:
            if e["run_vkey"] or e["prev_checkpoint"]:
                raise Bad("key", "a key in a log without signatures")
            return
        key = self.keys.of_run(e)
        if key.name == self.keys.named.name and key.text != self.keys.named.text:
            raise Bad("key", "not the one of genesis")
        if self.signed != e["seq"] or sha256(self.signed_text).hex() != e["prev_checkpoint"]:
            raise Bad("checkpoint", "the checkpoint before the run is missing or another")

    def check_note(self, data):
        if self.keys is None:
            raise Bad("note", "a checkpoint of a log without signatures")
        try:
            note = Note(data)
            origin, size, root = note.checkpoint()
        except ValueError as error:
            raise Bad("note", str(error)) from None
        if origin != self.origin or size != self.tree.size:
            raise Bad("note", "of another log or size")
        if root != self.tree.root():
            raise Bad("checkpoint", "another root: one of the entries before was changed")
        note.check(self.keys.log)
        note.check(self.keys.in_force)
        if self.keys.named is not self.keys.in_force:
            note.check(self.keys.named)
        self.keys.in_force = self.keys.named
        self.signed, self.signed_text = size, note.text.encode()
        return note

    def check_outputs(self, e):
        check_paths(e["outputs"])
        owners = [self.tables, e["job"]] if e["event"] == "tables" else [self.files, e["doc"]]
        own = owners[0].get(owners[1], [])
        own = {file["path"] for file in (own["outputs"] if isinstance(own, dict) else own)}
        for file in e["outputs"]:
            if file["path"] in self.vouched_paths and file["path"] not in own:
                raise Bad("path", "another document's file")

    def check_tables(self, e):
        check_paths(e["kept"])

    def check_erase(self, e):
        files, table = self.files.get(e["doc"], []), self.tables.get(e["job"], {"outputs": []})
        if not files or self.paths[e["doc"]] != e["path"] or not e["path"].startswith(e["job"] + "/"):
            raise Bad("erase", "no document of the job with files")
        pairs = lambda files: [(file["path"], file["sha256"]) for file in files]
        by_path = lambda files: sorted(pairs(files), key=lambda pair: pair[0].encode())
        if pairs(e["outputs"]) != by_path(files) or pairs(e["tables"]) != by_path(table["outputs"]):
            raise Bad("erase", "not what the log vouches for")

    def check_doc_done(self, e):
        if e["outcome"] not in ("done", "partial"):
            raise Bad("outcome", "doc_done with " + e["outcome"])
        if self.run.started.get(e["doc"]) != (e["input_sha256"], e["shape"]):
            raise Bad("outcome", "without its doc_start")
        if e["supersedes"] != self.done.get(e["doc"], 0):
            raise Bad("rests_on", "supersedes")

    def check_doc_skip(self, e):
        doc, outcome = e["doc"], e["outcome"]
        if outcome == "unchanged":
            answer = self.answers.get(doc)
            answered = (answer is not None and answer["seq"] == e["rests_on"]
                        and answer["input_sha256"] == e["input_sha256"]
                        and answer["shape"] in self.run.shapes)
            erased = self.erased.get(doc) == (e["rests_on"], e["input_sha256"])
            if not (answered or erased) or e["outputs"]:
                raise Bad("rests_on", "unchanged")
        elif outcome == "quarantined":
            if self.failed.get(doc) != e["rests_on"]:
                raise Bad("rests_on", "quarantined")
        elif outcome in ("refused", "deferred"):
            if e["rests_on"] >= e["seq"]:
                raise Bad("rests_on", outcome)
        else:
            raise Bad("outcome", "doc_skip with " + outcome)

    def check_run_end(self, e):
        run = self.run
        ended = sorted(run.ended.items())
        inventory = {
            "count": len(ended),
            "bytes": sum(size for _, (_, size) in ended),
            "root": root_over("%s %s %d" % (doc, digest, size) for doc, (digest, size) in ended),
        }
        if any(run.inventory[key] != inventory[key] for key in inventory):
            raise Bad("complete", "not every input has one outcome")
        if e["log_size"] != self.tree.size or e["log_root"] != self.tree.root().hex():
            raise Bad("root", "log_size or log_root")
        files = sorted(self.vouched().items(), key=lambda file: file[0].encode())
        if (any(e["counts"][outcome] != run.counts[outcome] for outcome in OUTCOMES)
                or e["prompt_tokens"] != run.prompt_tokens
                or e["answer_tokens"] != run.answer_tokens
                or e["outputs_root"] != root_over("%s  %s" % (d, path) for path, d in files)):
            raise Bad("counts", "counts, sums or outputs_root")

    def replace(self, before, now):
        self.vouched_paths -= {file["path"] for file in before}
        self.vouched_paths |= {file["path"] for file in now}

    def apply(self, e, digest):
        event = e["event"]
        if self.run is not None and self.run.id != e["run"]:
            self.run, self.cut_off = None, self.cut_off + 1
        if event == "genesis":
            self.origin = e["origin"]
            if e["log_vkey"]:
                self.keys = Keys(e)
        elif event == "run_start":
            if self.keys is not None and self.keys.named.text != e["run_vkey"]:
                self.keys.named = self.keys.of_run(e)
            self.runs.add(e["run"])
            self.run = Run(e)
        elif event == "erase":
            doc = e["doc"]
            self.replace(self.files.pop(doc) + self.tables.get(e["job"], {"outputs": []})["outputs"], [])
            if e["job"] in self.tables:
                self.tables[e["job"]] = {**self.tables[e["job"]], "outputs": []}
            self.answers.pop(doc, None)
            self.words.pop(doc, None)
            self.erased[doc] = (e["seq"], self.inputs[doc])
        elif event == "review":
            self.words.setdefault(e["doc"], set()).add(e["words_sha256"])
        elif event == "clock_step":
            self.steps.append((e["seq"], e["before"], e["ts"]))
        elif event == "doc_start":
            self.paths.setdefault(e["doc"], e["path"])
            self.run.started[e["doc"]] = (e["input_sha256"], e["shape"])
        elif event == "tables":
            self.replace(self.tables.get(e["job"], {"outputs": []})["outputs"], e["outputs"])
            self.tables[e["job"]] = e
        elif event == "run_end":
            self.run = None
        elif event in ("doc_done", "doc_fail", "doc_skip"):
            doc = e["doc"]
            self.run.counts["failed" if event == "doc_fail" else e["outcome"]] += 1
            self.run.ended[doc] = (e["input_sha256"], e["bytes"])
            self.paths.setdefault(doc, e["path"])
            self.inputs[doc] = e["input_sha256"]
            if event != "doc_skip":
                self.erased.pop(doc, None)
            if e["outputs"]:
                self.replace(self.files.get(doc, []), e["outputs"])
                self.files[doc] = e["outputs"]
                self.answers.pop(doc, None)
            if event == "doc_done":
                self.answers[doc], self.done[doc] = e, e["seq"]
                self.run.prompt_tokens += e["prompt_tokens"]
                self.run.answer_tokens += e["answer_tokens"]
            elif event == "doc_fail":
                self.failed[doc] = e["seq"]
        self.tree.push(digest)
        self.last, self.last_leaf = e, digest


# Sections 1 and 7.

def notes_of(state):
    """Sizes of the notes."""
    folder = os.path.join(state, "checkpoints")
    names = os.listdir(folder) if os.path.isdir(folder) else []
    sizes = (int(n[:-5]) for n in names if re.fullmatch(r"[1-9][0-9]{0,19}\.note", n))
    return {size for size in sizes if size < 2**64}


def verify_log(state, watch=None):
    """(chain, first bad entry or None, torn bytes); `watch` is told of every entry and good note."""
    chain, notes = Chain(), notes_of(state)
    bad, torn = verify_entries(state, chain, notes, watch)
    if bad is None and notes and max(notes) > chain.tree.size:
        name = "%d.note" % max(notes)
        bad = chain.signed, name, 1, "checkpoint", "the log is shorter than its checkpoint"
    return chain, bad, torn


def verify_note(state, chain, watch):
    name = "%d.note" % chain.tree.size
    try:
        file = os.path.join(state, "checkpoints", name)
        if not os.path.isfile(file):
            raise Bad("note", "not a file")
        with open(file, "rb") as file:
            note = chain.check_note(file.read(NOTE_MAX + 1))
        if watch:
            watch.note(chain, note)
    except Bad as bad:
        return chain.signed, name, 1, bad.rule, bad.message
    return None


def lines_of(file):
    """Number, bytes and end of each line; of a longer one than there may be its beginning."""
    end = 0
    with open(file, "rb") as opened:
        for number, line in enumerate(iter(lambda: opened.readline(LINE_MAX + 1), b""), 1):
            end += len(line)
            yield number, line, end


def verify_entries(state, chain, notes, watch):
    """(first bad entry or None, torn bytes)"""
    folder = os.path.join(state, "log")
    names = os.listdir(folder) if os.path.isdir(folder) else []
    names = sorted(n for n in names if re.fullmatch(r"[0-9]{6}\.jsonl", n))
    for index, name in enumerate(names):
        if int(name[:6]) != index + 1:
            missing = "%06d.jsonl" % (index + 1)
            return (chain.tree.size, missing, 1, "segment", missing + " is missing"), 0
        file, is_last = os.path.join(folder, name), index + 1 == len(names)
        if not os.path.isfile(file):
            return (chain.tree.size, name, 1, "segment", "not a file"), 0
        length = os.path.getsize(file)
        if not length and not is_last:
            return (chain.tree.size, name, 1, "segment", "an empty segment"), 0
        for number, line, end in lines_of(file):
            has_end = line.endswith(b"\n")
            line, at_end = line[:-1] if has_end else line, is_last and end == length
            try:
                if len(line) > LINE_MAX:
                    raise Bad("canonical", "the line is too long")
                try:
                    if not has_end:
                        raise Unreadable("the line has no end")
                    entry = parsed(line)
                except Unreadable as error:
                    if at_end:
                        return None, len(line) + has_end
                    raise Bad("json", str(error)) from None
                chain.check(entry)
                chain.apply(entry, leaf(line))
                if watch:
                    watch.entry(chain)
            except Bad as bad:
                return (chain.tree.size, name, number, bad.rule, bad.message), 0
            if chain.tree.size in notes:
                bad = verify_note(state, chain, watch)
                if bad:
                    return bad, 0
    return None, 0


def verdict(chain, bad, torn):
    if bad:
        return "broken"
    unsigned = chain.keys is not None and chain.signed < chain.tree.size
    return "unfinished" if torn or chain.run or unsigned or not chain.tree.size else "ok"


# Section 9: what is known from elsewhere.

class Watch:
    def __init__(self, known, witnesses):
        self.known, self.witnesses = known, witnesses
        self.roots, self.anchored = {}, 0
        self.superseded, self.named = {}, set()  # by seq: paths that are kept; (seq, path, digest) of entries

    def entry(self, chain):
        if chain.tree.size == 1 or any(size == chain.tree.size for _, size, _ in self.known):
            self.roots[chain.tree.size] = chain.tree.root()
        entry = chain.last
        if entry["seq"] in self.superseded and entry["event"] == "doc_done":
            self.named |= {(entry["seq"], file["path"], file["sha256"]) for file in entry["outputs"]}

    def note(self, chain, note):
        if any([note.cosigned(witness) for witness in self.witnesses]):
            self.anchored = chain.tree.size


def pin_of(text):
    """(key, leaf of the first entry or None)"""
    if os.path.exists(text):
        with open(text, encoding="utf-8") as file:
            text = file.read()
    words = text.split()
    if len(words) not in (1, 3) or words[1:2] not in ([], ["genesis"]):
        raise ValueError("not a key: " + text)
    return Vkey(words[0]), words[2] if len(words) == 3 else None


def unpinned(chain, pin, watch):
    """Why this is not the log of the pinned key."""
    key, genesis = pin
    if chain.keys is None or chain.keys.log.text != key.text:
        return "the log is not signed with the key that is known"
    if genesis is not None and watch.roots[1].hex() != genesis:
        return "not the first entry that is known"
    return None


# Section 8.

def digest_of(file):
    digest = hashlib.sha256()
    with open(file, "rb") as opened:
        for part in iter(lambda: opened.read(1 << 20), b""):
            digest.update(part)
    return digest.hexdigest()


def one_line(name):
    """A name as it may stand on a terminal."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in name)


def superseded(state):
    """Earlier outputs that are kept: paths by seq."""
    root, kept = os.path.join(state, "superseded"), {}
    for folder, folders, files in os.walk(root):
        for name in files + [name for name in folders if os.path.islink(os.path.join(folder, name))]:
            if re.fullmatch("0|[1-9][0-9]*", name):
                path = os.path.relpath(folder, root).replace(os.sep, "/")
                kept.setdefault(int(name), []).append(path)
    return kept


def verify_superseded(watch, state, output):
    found = []
    for seq, paths in sorted(watch.superseded.items()):
        for path in paths:
            file = os.path.join(state, "superseded", path, str(seq))
            digest = digest_of(file) if os.path.isfile(file) else None
            if (seq, path, digest) not in watch.named:
                found.append(("changed", os.path.relpath(file, output).replace(os.sep, "/")))
    return found


def verify_torn(state, output):
    """What was set aside and is not what its name says."""
    folder, found = os.path.join(state, "torn"), []
    for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
        match = re.fullmatch("(0|[1-9][0-9]{0,19})-([0-9a-f]{64})", name)
        file = os.path.join(folder, name)
        if match and int(match[1]) < 2**64 and not (os.path.isfile(file) and holds(file, match[2])):
            found.append(("changed", os.path.relpath(file, output).replace(os.sep, "/")))
    return found


def holds(file, digest):
    """Whether the file has this digest and is no longer than a line with its LF."""
    with open(file, "rb") as opened:
        data = opened.read(LINE_MAX + 2)
    return len(data) <= LINE_MAX + 1 and hashlib.sha256(data).hexdigest() == digest


def verify_reviews(chain, state, output):
    digests = sorted(digest for digests in chain.words.values() for digest in digests)
    files = ((os.path.join(state, "reviews", digest + ".json"), digest) for digest in digests)
    files = ((os.path.relpath(file, output).replace(os.sep, "/"), digest) for file, digest in files)
    return unlike_logged(files, output)


def unlike_logged(files, output):
    """What of files (path, digest) is missing or changed."""
    found = []
    for path, digest in files:
        file = os.path.join(output, path)
        if not os.path.lexists(file):
            found.append(("missing", path))
            continue
        plain = os.path.isfile(file) and not os.path.islink(file)
        if not plain or digest_of(file) != digest:
            found.append(("changed", path))
    return found


def verify_files(chain, state, output):
    vouched = chain.vouched()
    kept = {file["path"] for table in chain.tables.values() for file in table["kept"]}
    found = unlike_logged(sorted(vouched.items()), output)
    for folder, folders, files in os.walk(output):
        if os.path.realpath(folder) == os.path.realpath(state):
            folders[:] = []
            continue
        links = [name for name in folders if os.path.islink(os.path.join(folder, name))]
        for name in files + links:
            path = os.path.relpath(os.path.join(folder, name), output).replace(os.sep, "/")
            unlogged = path in ("last-run.json", "report.html") or path.startswith("report/")
            if path not in vouched and path not in kept and not unlogged:
                found.append(("orphan", path))
    return found


def main(arguments):
    if hasattr(sys, "set_int_max_str_digits"):
        sys.set_int_max_str_digits(0)
    if arguments[:1] == ["--each"]:
        global parsed
        parsed = functools.lru_cache(maxsize=1 << 14)(parsed)
        for state in arguments[1:]:
            chain, bad, torn = verify_log(state)
            rest = bad[:4] if bad else (chain.tree.size, torn)
            print(verdict(chain, bad, torn), *rest, chain.signed)
        return 0
    pin, known, witnesses = None, [], []
    while len(arguments) > 2 and arguments[0] in ("--key", "--known", "--witness"):
        option, value, *arguments = arguments
        if option == "--key":
            pin = pin_of(value)
        elif option == "--witness":
            witnesses.append(Vkey(value))
        else:
            with open(value, "rb") as file:
                known.append(Note(file.read(NOTE_MAX + 1)).checkpoint())
            if known[-1][1] == 0:
                raise ValueError("a checkpoint of no entries says nothing of a log")
    if not 1 <= len(arguments) <= 2:
        print(__doc__.strip(), file=sys.stderr)
        return 2
    watch = Watch(known, witnesses)
    if len(arguments) == 2:
        watch.superseded = superseded(arguments[0])
    chain, bad, torn = verify_log(arguments[0], watch)
    if pin and chain.tree.size and unpinned(chain, pin, watch):
        bad = 0, "000001.jsonl", 1, "pin", unpinned(chain, pin, watch)
    word = verdict(chain, bad, torn)
    for origin, size, root in known:
        if size not in watch.roots:
            word = word if word == "broken" else "truncated"
        elif (origin, root) != (chain.origin, watch.roots[size]):
            word = word if word == "broken" else "diverged"
        else:
            watch.anchored = max(watch.anchored, size)
    print("%s: %d entries of %r, root %s" % (word, chain.tree.size, chain.origin, chain.tree.root().hex()))
    signed = max(chain.signed, watch.anchored)
    for first, last, standing in ((0, watch.anchored, "ANCHORED"), (watch.anchored, signed, "SIGNED"),
                                  (signed, chain.tree.size, "UNSIGNED")):
        if first < last:
            print("entries %d to %d: %s" % (first, last - 1, standing))
    for step in chain.steps:
        print("clock set at entry %d: from %s to %s" % step)
    if chain.keys is not None and pin is None:
        print("key as the log names it, not known beforehand: " + chain.keys.log.text)
    if bad:
        print(one_line("first bad entry: %d (%s line %d) [%s] %s" % bad))
    if torn:
        print("torn tail: %d bytes" % torn)
    found = []
    if len(arguments) == 2:
        found = verify_files(chain, *arguments) + verify_superseded(watch, *arguments)
        found += verify_reviews(chain, *arguments) + verify_torn(*arguments)
    for what, path in found:
        print("%s: %s" % (what, one_line(path)))
    return 0 if word == "ok" and not found else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
