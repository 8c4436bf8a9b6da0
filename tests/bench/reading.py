#!/usr/bin/env python3
"""Processor time that readers of documents take, side by side: all their processes counted, in turns.

usage: reading.py FOLDER [--rounds 3] COMMAND…

FOLDER holds documents; each COMMAND is one argument in which {} stands for a document:
    reading.py contracts 'target/release/nightclerk text {}' 'mutool draw -q -F text {}'

A process that outlives the one that started it (a reader that another process forked) is adopted and waited
for, so that its time counts too; what `time` prints leaves it out. Linux only (prctl(2)).
"""
import argparse
import ctypes
import os
import resource
import shlex
import statistics
import subprocess
import sys

PR_SET_CHILD_SUBREAPER = 36


def spent():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return 1000 * (usage.ru_utime + usage.ru_stime)


def read(command, document):
    """Runs one command on one document and waits for every process that came of it."""
    words = [word.replace("{}", document) for word in shlex.split(command)]
    code = subprocess.run(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode
    while True:
        try:
            os.wait()
        except ChildProcessError:
            return code == 0


def main():
    ap = argparse.ArgumentParser(usage=__doc__.split("\n\n")[1])
    ap.add_argument("folder")
    ap.add_argument("--rounds", type=int, default=3)
    ap.add_argument("commands", nargs="+")
    a = ap.parse_args()
    if ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        sys.exit("error: this kernel adopts no processes (prctl)")
    documents = sorted(entry.path for entry in os.scandir(a.folder) if entry.is_file())
    if not documents:
        sys.exit(f"error: {a.folder} holds no files")
    rounds = {command: [] for command in a.commands}
    failed = {command: 0 for command in a.commands}
    for _ in range(a.rounds):
        for command in a.commands:
            before = spent()
            failed[command] += sum(not read(command, document) for document in documents)
            rounds[command].append((spent() - before) / len(documents))
    for command, each in rounds.items():
        print(
            f"{statistics.median(each):7.1f} ms a document ({min(each):.1f} to {max(each):.1f}), "
            f"{failed[command]} failed: {command}"
        )


main()
