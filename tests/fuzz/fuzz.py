#!/usr/bin/env python3
"""Feeds every reader damaged, hostile and odd files through the real parse server, and says what breaks it.

usage: python3 tests/fuzz/fuzz.py [--minutes 60] [--only docx,xlsx] [--seed 1] [--program target/release/nightclerk]
                                  [--keep FOLDER] [FILE…]

Each round takes a fixture (or one of the FILEs), changes it as its format is built (parts and XML elements of
containers, groups and control words of RTF, tags of HTML, header lines and parts of mail, objects of PDF, delimiters
and quotes of CSV, bytes of everything), and runs `nightclerk text` on it in one of the three views. Named as broken
are: an exit code that is not 0, 1 or 3 (a parent that is killed or panics); a parent that runs longer than the child's
limit allows; output that is not UTF-8 or JSON. A child that crashes or is stopped by its limits is how the
server means it to end, and is counted by its message. Files of both kinds are kept. Standard library only.
"""
import argparse, collections, io, json, os, random, re, resource, subprocess, sys, tempfile, time, warnings, zipfile

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
ZIPPED = {"docx", "odt", "pptx", "xlsx", "xlsb", "ods"}
FORMATS = ZIPPED | {"xls", "rtf", "html", "eml", "csv", "txt", "pdf"}
NUMBERS = ["0", "-1", "1", "255", "65535", "2147483647", "-2147483648", "4294967296", "1e309", "NaN", "", "A1:XFD1048576"]
PARENT_SECONDS_MAX = 150
TEXT_MAX = 8 << 20

HTML = """<!doctype html><html><head><title>A</title><style>.h{display:none} p{color:#000}</style></head><body><h1>1. Scope</h1>
<p class=h>hidden</p><p>due in <del datetime=2024-05-01>30</del><ins>14</ins> days</p><ol type=i start=3><li>x<li value=9>y<ul><li>z</ul></ol>
<table><tr><th colspan=2>a<tr><td rowspan=3>b<td>c<table><tr><td>d</table></table><select><option selected>e</select><pre> f\n g</pre></body></html>"""
MAIL = """From: Ann <ann@example.com>\r\nTo: Ben <ben@example.com>\r\nSubject: =?utf-8?B?R3LDvMOfZQ==?=\r\nMIME-Version: 1.0\r
Content-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\nContent-Type: multipart/alternative; boundary="c"\r\n\r\n--c\r\nContent-Type: text/plain\r
\r\nplain\r\n--c\r\nContent-Type: text/html; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n<p>Gr=FC=DFe</p>\r\n--c--\r
--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\ntext\r\n--b\r\nContent-Type: text/csv; name="a.csv"\r
Content-Disposition: attachment; filename="a.csv"\r\nContent-Transfer-Encoding: base64\r\n\r\nYSxiCjEsMgo=\r\n--b--\r\n"""


def seeds(only, files):
    found = collections.defaultdict(list)
    folders = [os.path.join(ROOT, "fixtures", name) for name in ("inbox", "formats", "damaged")]
    for path in files or sorted(os.path.join(folder, name) for folder in folders for name in os.listdir(folder)):
        ending = path.rsplit(".", 1)[-1].lower()
        if ending in FORMATS:
            with open(path, "rb") as file:
                found[ending].append(file.read())
    if not files:
        found["html"].append(HTML.encode())
        found["eml"].append(MAIL.encode())
        found["eml"].append(b"From a@b Thu Jan  1 00:00:00 2024\n" + MAIL.encode() + b"\n\nFrom c@d Thu Jan  1 00:00:00 2024\n" + MAIL.encode())
    return {ending: list_ for ending, list_ in found.items() if not only or ending in only}


def bytes_changed(r, data):
    data = bytearray(data)
    for _ in range(r.choice([1, 1, 2, 4, 16])):
        if not data:
            return b"\0"
        at, length = r.randrange(len(data)), r.choice([1, 2, 4, 8, 64, 512])
        kind = r.randrange(7)
        if kind == 0:
            data[at] ^= 1 << r.randrange(8)
        elif kind == 1:
            data[at:at + length] = bytes(r.randrange(256) for _ in range(min(length, 8)))
        elif kind == 2:
            del data[at:at + length]
        elif kind == 3:
            data[at:at] = data[at:at + length] * r.choice([1, 2, 50])
        elif kind == 4:
            other = r.randrange(len(data))
            data[at:at + length] = data[other:other + length]
        elif kind == 5:
            data[at:at + 4] = r.choice([b"\0\0\0\0", b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\0\x80"])
        else:
            del data[at + (0 if r.random() < 0.3 else length):]
    return bytes(data)


def pieces_changed(r, text, pattern):
    """Pieces of a text (tags, control words, fields) dropped, doubled, swapped, nested, renumbered."""
    pieces = re.findall(pattern, text, re.S)
    if not pieces:
        return text
    for _ in range(r.choice([1, 1, 2, 3, 8])):
        at, other, length = r.randrange(len(pieces)), r.randrange(len(pieces)), r.choice([1, 1, 3, 10, 60])
        kind = r.randrange(8)
        if kind == 0:
            del pieces[at:at + length]
        elif kind == 1:
            pieces[at:at] = pieces[at:at + length] * r.choice([1, 2, 30])
        elif kind == 2:
            pieces[at], pieces[other] = pieces[other], pieces[at]
        elif kind == 3:
            pieces[at:at] = pieces[other:other + length]
        elif kind == 4:
            pieces[at:at] = [pieces[other]] * min(r.choice([3, 300, 3000]), 1 + TEXT_MAX // (1 + len(pieces[other])))
        elif kind == 5:
            pieces[at] = re.sub(r"-?\d+", lambda _: r.choice(NUMBERS), pieces[at])
        elif kind == 6:
            pieces[at] = re.sub(r'"[^"]*"', lambda _: '"%s"' % r.choice(NUMBERS + ["x" * 70000, "../../a", "&#0;&x;", "\u202e"]), pieces[at], count=1)
        else:
            del pieces[at:]
        if not pieces or len(pieces) > 200_000 or sum(map(len, pieces)) > TEXT_MAX:
            break
    return "".join(pieces)[:TEXT_MAX]


PATTERNS = {
    "xml": r"<[^>]*>|[^<]+",
    "rtf": r"\\[a-z]+-?\d* ?|\\'..|\\.|[{}]|[^\\{}]+",
    "html": r"<[^>]*>|[^<]+",
    "eml": r"[^\n]*\n|[^\n]+$",
    "pdf": r"\d+ \d+ obj|endobj|stream|endstream|<<|>>|/[A-Za-z0-9]+|\[|\]|\d+|[^\d/<>\[\]]+",
    "csv": r"[,;\t|\"'\n\r]|[^,;\t|\"'\n\r]+",
    "txt": r"\S+|\s+",
}


def container_changed(r, data):
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            parts = [(info.filename, archive.read(info)) for info in archive.infolist()]
            # The kind of an OpenDocument file is told by a first entry that is not compressed.
            stored = {info.filename for info in archive.infolist() if info.compress_type == zipfile.ZIP_STORED}
    except Exception:
        return bytes_changed(r, data)
    if not parts:
        return bytes_changed(r, data)
    for _ in range(r.choice([1, 1, 2, 3])):
        at = r.randrange(len(parts))
        name, content = parts[at]
        kind = r.randrange(10)
        if kind < 6 and name.endswith((".xml", ".rels")):
            content = pieces_changed(r, content.decode("utf-8", "replace"), PATTERNS["xml"]).encode("utf-8", "replace")
            parts[at] = (name, content)
        elif kind == 6 and len(parts) > 1:
            del parts[at]
        elif kind == 7:
            parts[at] = (name, parts[r.randrange(len(parts))][1])
        elif kind == 8:
            parts.append((name, content))
        else:
            parts[at] = (name, bytes_changed(r, content))
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts:
            method = zipfile.ZIP_STORED if name in stored else zipfile.ZIP_DEFLATED
            archive.writestr(zipfile.ZipInfo(name), content, method)
    return out.getvalue()


def changed(r, ending, data):
    if r.random() < 0.2:
        return bytes_changed(r, data)
    if ending in ZIPPED:
        return container_changed(r, data)
    pattern = PATTERNS.get(ending)
    if pattern is None:
        return bytes_changed(r, data)
    return pieces_changed(r, data.decode("latin-1"), pattern).encode("latin-1", "replace")


def run(program, path, r):
    view = r.choice(["accepted", "original", "redline"])
    style = r.choice([[], ["--pages"], ["--format", "json"]])
    words = [program, "text", "--view", view, *style, path]
    started = time.monotonic()
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        out, err = process.communicate(timeout=PARENT_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return "hang", f"no end after {PARENT_SECONDS_MAX} s: {' '.join(words)}"
    took = time.monotonic() - started
    said = err.decode("utf-8", "replace")
    if process.returncode not in (0, 1, 3):
        return "broken", f"exit {process.returncode}: {' '.join(words)}: {said[-300:]}"
    try:
        text = out.decode("utf-8")
        if "json" in style and process.returncode != 1:
            json.loads(text)
    except ValueError as error:
        return "broken", f"output: {error}: {' '.join(words)}"
    if process.returncode == 1:
        known = re.search(r"killed by signal|crashed|memory|longer than|seconds", said)
        return ("stopped: " + known.group() if known else "refused"), said[-200:]
    return ("slow" if took > 20 else "read"), f"{took:.0f} s"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--only", default="")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--program", default=os.path.join(ROOT, "target", "release", "nightclerk"))
    parser.add_argument("--keep", default=os.path.join(tempfile.gettempdir(), "nightclerk-fuzz"))
    parser.add_argument("files", nargs="*")
    args = parser.parse_args()
    os.makedirs(args.keep, exist_ok=True)
    warnings.simplefilter("ignore")  # of parts that stand twice: they are meant to
    r = random.Random(args.seed)
    corpus = seeds(set(filter(None, args.only.split(","))), args.files)
    counts = collections.Counter()
    broken = 0
    end = time.monotonic() + 60 * args.minutes
    with tempfile.TemporaryDirectory() as folder:
        while time.monotonic() < end:
            ending = r.choice(sorted(corpus))
            data = changed(r, ending, r.choice(corpus[ending]))
            path = os.path.join(folder, "file." + ending)
            with open(path, "wb") as file:
                file.write(data)
            outcome, said = run(args.program, path, r)
            counts[ending, outcome] += 1
            if outcome not in ("read", "refused"):
                kept = os.path.join(args.keep, f"{outcome.split(':')[0]}-{sum(counts.values())}.{ending}")
                with open(kept, "wb") as file:
                    file.write(data)
                print(f"{outcome}: {kept}: {said.strip()}", flush=True)
            broken += outcome in ("broken", "hang")
    # The largest process of all, readers included.
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss >> 10
    for (ending, outcome), count in sorted(counts.items()):
        print(f"{ending:6}{outcome:24}{count:8}")
    print(f"{sum(counts.values())} files, {broken} broke the parent; the largest reader took {peak} MiB")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
