#!/usr/bin/env python3
"""How right `nightclerk plan` is about a night: four nights in three folders, each planned and then run. Each folder is
planned by a pace that plan measures, and the first one once more by the pace that its first night has left.

usage: estimates.py MODEL [--count 60] [--program target/release/nightclerk]

Two errors are printed. That by the clock also holds what else the machine did meanwhile; that by tokens is what the
plan foretold beside the tokens that the run computed and wrote, at the plan's own pace. Needs Python 3 alone.
"""
import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.dont_write_bytecode = True
import office
import proof

ROOT = office.ROOT
EIGHT = ("document_name", "parties", "agreement_date", "effective_date", "expiration_date", "governing_law",
         "anti_assignment", "cap_on_liability")


def facts(program, folder, command):
    done = subprocess.run([program, command, "--format", "json"], cwd=folder, capture_output=True, text=True)
    if done.returncode not in (0, 3):
        sys.exit(f"error: nightclerk {command} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return done.stdout


def night(program, folder, name):
    load = os.getloadavg()[0]
    sheet = json.loads(facts(program, folder, "plan"))
    facts(program, folder, "run")
    last = json.loads((folder / "out/last-run.json").read_text())
    engine, pace, said = last["engine"], sheet["pace"], sheet["seconds"]
    took = engine["work_ms"] / 1000
    by_tokens = (engine["prompt_tokens"] / pace["prompt_tokens_per_second"]
                 + engine["answer_tokens"] / pace["answer_tokens_per_second"])
    print(f"| {name} | {sheet['due']} | {said} s | {took:.1f} s | {100 * (said / took - 1):+.0f} % | "
          f"{100 * (said / by_tokens - 1):+.0f} % | {load:.1f} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--program", type=Path, default=ROOT / "target/release/nightclerk")
    args = parser.parse_args()
    program = args.program.resolve()
    print("| night | documents | plan | work | error by the clock | by tokens | load before |\n"
          "|---|---:|---:|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as place:
        first, second, third = (Path(place) / name for name in ("agreements", "office", "summaries"))
        for folder in (first, second, third):
            folder.mkdir()
        office.lay_out(first, args.model, proof.FIELDS)
        proof.fill(first / "inbox", args.count, 1)
        night(program, first, "made-up agreements, four fields; pace measured by plan")
        later = first / "inbox/later"
        later.mkdir()
        proof.fill(later, args.count, 2)
        night(program, first, "the next night there, other agreements; pace of the first night")
        office.lay_out(second, args.model, EIGHT)
        shutil.copytree(ROOT / "fixtures/inbox", second / "inbox", dirs_exist_ok=True)
        night(program, second, "fixtures/inbox, eight fields; pace measured by plan")
        office.lay_out(third, args.model, EIGHT, tasks=("summary.toml", "terms.toml"))
        shutil.copy(ROOT / "prompts/summary.toml", third)
        shutil.copytree(ROOT / "fixtures/inbox", third / "inbox", dirs_exist_ok=True)
        night(program, third, "fixtures/inbox, a summary and eight fields; pace measured by plan")


if __name__ == "__main__":
    main()
