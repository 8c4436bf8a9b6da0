#!/usr/bin/env python3
"""What the log costs of a night, and whether a night's answers come again: COUNT made-up documents are answered,
with every write of the log timed, and then all are replayed, each alone, under other threads and instruction tiers.

usage: proof.py MODEL [--count 100] [--seed 1] [--replay THREADS,TIER]... [--program target/release/nightclerk]

The tiers of this machine are what `nightclerk --version --verbose` says. Needs Python 3 and strace.
"""
import argparse
import json
import random
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.dont_write_bytecode = True
import office

ROOT = Path(__file__).resolve().parents[2]
FIELDS = ("parties", "agreement_date", "governing_law", "renewal_term")
NAMES = ("Harbour Mills", "Calloway Street", "Ostrava Foundry", "Bellweather", "Köhler & Söhne", "Pinecrest")
STATES = ("Oregon", "Delaware", "New York", "Switzerland", "England and Wales")
KINDS = {
    "txt": "{}",
    "md": "# Agreement\n\n{}",
    "html": "<!doctype html><html><body><h1>Agreement</h1><p>{}</p></body></html>",
    "eml": "From: a@example.com\r\nTo: b@example.com\r\nSubject: Agreement\r\n"
           "Content-Type: text/plain; charset=utf-8\r\n\r\n{}",
}


def document(dice):
    one, other = dice.sample(NAMES, 2)
    clauses = [
        f"This agreement is made on {dice.randint(1, 28)} March {dice.randint(2015, 2026)} between {one} Ltd and {other} LLC.",
        f"It is governed by the laws of {dice.choice(STATES)}.",
        f"It renews for {dice.randint(1, 5)} years unless a party gives {dice.randint(30, 90)} days' notice.",
        f"The price is {dice.randint(1, 900) * 100} USD, due within {dice.randint(10, 60)} days.",
        f"Neither party may assign it without the consent of {dice.choice((one, other))}.",
    ]
    return "\n\n".join(dice.sample(clauses, dice.randint(3, 5)))


def fill(inbox, count, seed):
    dice = random.Random(seed)
    for number in range(count):
        kind = list(KINDS)[number % len(KINDS)]
        text = KINDS[kind].format(document(dice))
        (inbox / f"agreement {number}.{kind}").write_text(text, encoding="utf-8", newline="")


def night(program, folder):
    """Wall time of the run, and the time of all calls that make the log and its checkpoints durable."""
    calls = "openat,write,fsync,fdatasync,rename,unlink,mkdir"
    trace = folder / "trace"
    start = time.monotonic()
    done = subprocess.run(
        ["strace", "-f", "-qq", "-y", "-T", "-o", trace, "-e", "trace=" + calls, program, "run", "--format", "json"],
        cwd=folder, capture_output=True, text=True)
    seconds = time.monotonic() - start
    if done.returncode not in (0, 3):
        sys.exit(f"error: nightclerk ended with {done.returncode}:\n{done.stderr[-2000:]}")
    own = re.compile(r"/\.nightclerk/|/keys/")
    times = (re.search(r"<([0-9.]+)>$", line) for line in trace.open() if own.search(line))
    logged = sum(float(found[1]) for found in times if found)
    entries = sum(len(path.read_bytes().splitlines()) for path in folder.glob("out/.nightclerk/log/*.jsonl"))
    print(f"{seconds:.1f} s for the night, {logged:.2f} s of it for the {entries} entries of the log, durable, with "
          f"checkpoints and keys: {100 * logged / seconds:.2f} %", flush=True)


def replayed(program, folder, count, condition):
    threads, tier = condition.split(",")
    start = time.monotonic()
    command = [program, "verify", "--format", "json", "--replay", str(count), "--threads", threads, "--tier", tier]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if not done.stdout:
        sys.exit(f"error: {done.stderr}")
    sheet = json.loads(done.stdout)["replay"]
    same = sum(not one["differences"] for one in sheet["replayed"])
    print(f"{threads} threads, {sheet['tier']}: {same} of {len(sheet['replayed'])} identical, "
          f"{len(sheet['not_replayable'])} not replayable; {time.monotonic() - start:.0f} s", flush=True)
    for one in sheet["not_replayable"][:5]:
        print(f"  {one['path']}: {one['reason']}")
    return same == len(sheet["replayed"]) > 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--replay", action="append", default=[], metavar="THREADS,TIER")
    parser.add_argument("--program", type=Path, default=ROOT / "target/release/nightclerk")
    args = parser.parse_args()
    program = args.program.resolve()
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        office.lay_out(folder, args.model, FIELDS)
        fill(folder / "inbox", args.count, args.seed)
        night(program, folder)
        same = [replayed(program, folder, args.count, condition) for condition in args.replay]
    return 0 if all(same) else 3


if __name__ == "__main__":
    sys.exit(main())
