#!/usr/bin/env python3
"""A second verifier of nightclerk's audit log, written from src/audit/FORMAT.md alone.

    verify.py STATE [OUTPUT]        one log; with OUTPUT its files too; exit 0 ok, 1 not ok
    verify.py --each STATE...       one line for each: verdict, first bad entry and its rule

Python 3.9, standard library only.
"""

import hashlib
import json
import os
import re
import sys

LINE_MAX = 32768
INTEGER_MAX = 2**53 - 1
DEPTH_MAX = 8
RESERVED = {
    "checkpoint_exported", "config_change", "egress_attempt", "erase", "key_rotate", "review",
    "verify_result",
}
OUTCOMES = ["done", "partial", "refused", "failed", "unchanged", "quarantined", "deferred"]

N, S, H16, H32, OUTCOME = "n", "s", "h16", "h32", "outcome"
FILES = [{"path": S, "sha256": H32}]
DOC = {"doc": H16, "path": S, "input_sha256": H32, "bytes": N}
COMMON = {"v": N, "seq": N, "prev": H32, "ts": S, "mono_ms": N, "run": H16, "salt": H16, "event": S}
KINDS = {
    "genesis": {"origin": S, "log_vkey": S, "tool": S},
    "run_start": {
        "inventory": {"count": N, "bytes": N, "root": H32},
        "binary": {"version": S, "sha256": S},
        "model": {"file": S, "sha256": H32, "bytes": N},
        "jobs_sha256": H32,
        "shapes": [{"name": S, "sha256": H32}],
        "engine": {"threads": N, "slots": N, "memory_bytes": N, "isa": S, "number_rules": N},
        "host": {"name": S, "kernel": S, "boot_id": S},
        "actor": {"uid": N, "login_uid": N},
        "pid": N, "tz": S, "run_vkey": S, "prev_checkpoint": S,
    },
    "doc_start": {**DOC, "shape": H32, "attempt": N},
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
    "run_end": {
        "counts": {outcome: N for outcome in OUTCOMES},
        "prompt_tokens": N, "answer_tokens": N, "seconds": N, "outputs_root": H32, "log_size": N,
        "log_root": H32, "exit_code": N,
    },
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


def finite(text):
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError("number out of range")
    return value


def no_constant(text):
    raise ValueError(text)


def parse(line):
    """The JSON object in a line (bytes, without LF)."""
    try:
        text = line.decode("utf-8")
        value = json.loads(text, parse_float=finite, parse_constant=no_constant)
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
    elif event not in RESERVED:
        raise Bad("fields", "no kind of entry is called %r" % event)
    if entry["v"] != 1:
        raise Bad("fields", "version %d" % entry["v"])
    if not is_time(entry["ts"]):
        raise Bad("fields", "ts is not a time")


# Section 5.

def check_paths(files):
    paths = [file["path"] for file in files]
    for path in paths:
        if any(part in ("", ".", "..") for part in path.split("/")) or "\0" in path:
            raise Bad("path", "%r" % path)
    if len(set(paths)) != len(paths):
        raise Bad("path", "a path is there twice")


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
        self.run, self.runs, self.cut_off = None, set(), 0
        self.answers, self.done, self.failed, self.files = {}, {}, {}, {}  # by doc
        self.tables = {}  # outputs and kept, by job
        self.vouched_paths = set()

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
            if (answer is None or answer["seq"] != e["rests_on"]
                    or answer["input_sha256"] != e["input_sha256"]
                    or answer["shape"] not in self.run.shapes or e["outputs"]):
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
        elif event == "run_start":
            self.runs.add(e["run"])
            self.run = Run(e)
        elif event == "doc_start":
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


# Sections 1 and 6.

def verify_log(state):
    """(chain, first bad entry or None, torn bytes)"""
    chain, folder = Chain(), os.path.join(state, "log")
    names = sorted(n for n in os.listdir(folder) if re.fullmatch(r"[0-9]{6}\.jsonl", n))
    for index, name in enumerate(names):
        if int(name[:6]) != index + 1:
            missing = "%06d.jsonl" % (index + 1)
            return chain, (chain.tree.size, missing, 1, "segment", missing + " is missing"), 0
        with open(os.path.join(folder, name), "rb") as file:
            lines = file.read().split(b"\n")
        is_last = index + 1 == len(names)
        if lines == [b""] and not is_last:
            return chain, (chain.tree.size, name, 1, "segment", "an empty segment"), 0
        for number, line in enumerate(lines, 1):
            has_end = number < len(lines)
            if not has_end and not line:
                break
            at_end = is_last and (not has_end or (number + 1 == len(lines) and not lines[-1]))
            try:
                if len(line) > LINE_MAX:
                    raise Bad("canonical", "the line is too long")
                try:
                    if not has_end:
                        raise Unreadable("the line has no end")
                    entry = parse(line)
                except Unreadable as error:
                    if at_end:
                        return chain, None, len(line) + has_end
                    raise Bad("json", str(error)) from None
                if canonical(entry).encode() != line:
                    raise Bad("canonical", "written another way")
                check_fields(entry)
                chain.check(entry)
                chain.apply(entry, leaf(line))
            except Bad as bad:
                return chain, (chain.tree.size, name, number, bad.rule, bad.message), 0
    return chain, None, 0


def verdict(chain, bad, torn):
    if bad:
        return "broken"
    return "unfinished" if torn or chain.run or not chain.tree.size else "ok"


# Section 7.

def verify_files(chain, state, output):
    vouched, found = chain.vouched(), []
    kept = {file["path"] for table in chain.tables.values() for file in table["kept"]}
    for path, digest in sorted(vouched.items()):
        file = os.path.join(output, path)
        if not os.path.lexists(file):
            found.append(("missing", path))
            continue
        same = False
        if os.path.isfile(file) and not os.path.islink(file):
            with open(file, "rb") as opened:
                same = sha256(opened.read()).hex() == digest
        if not same:
            found.append(("changed", path))
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
        for state in arguments[1:]:
            chain, bad, torn = verify_log(state)
            print(verdict(chain, bad, torn), *(bad[:4] if bad else (chain.tree.size, torn)))
        return 0
    if not 1 <= len(arguments) <= 2:
        print(__doc__.strip(), file=sys.stderr)
        return 2
    chain, bad, torn = verify_log(arguments[0])
    word = verdict(chain, bad, torn)
    print("%s: %d entries of %r, root %s" % (word, chain.tree.size, chain.origin, chain.tree.root().hex()))
    if bad:
        print("first bad entry: %d (%s line %d) [%s] %s" % bad)
    if torn:
        print("torn tail: %d bytes" % torn)
    found = verify_files(chain, *arguments) if len(arguments) == 2 else []
    for what, path in found:
        print("%s: %s" % (what, path))
    return 0 if word == "ok" and not found else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
