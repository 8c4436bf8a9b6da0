#!/usr/bin/env python3
"""Measures nightclerk beside llama.cpp and prints the result as Markdown: see table.sh and batched.sh,
which start this and say what it reads from the environment. Needs Python 3 and nothing else.
"""
import contextlib
import datetime
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ENV = os.environ.get
QUICK = ENV("QUICK", "") not in ("", "0")
ROUNDS = int(ENV("ROUNDS", "1" if QUICK else "3"))
# Cases with fewer rounds, as "8b=1,long=1".
FEWER = dict(part.split("=") for part in ENV("ROUNDS_OF", "").split(",") if part)
THREADS = ENV("THREADS", "2")
OURS = Path(ENV("NIGHTCLERK", ROOT / "target/release/nightclerk"))
MODES = {"repack": ["-fa", "on"], "no-repack": ["-fa", "on", "--no-repack"]}
# A program's loads in a row, so that its memory is what the one before gave back: a virtual machine's host
# has to find memory anew after another program, which takes longer than all else.
LOADS = 1 if QUICK else 4


@dataclass
class Case:
    """One shape of one model, run by both programs in turn."""

    key: str
    model: Path | None
    pp: int
    tg: int
    batches: str
    llama: Path | None
    # Why it cannot be measured here; empty where it can.
    missing: str = ""
    tier: str = ""
    memory: str = "6GiB"
    modes: dict | None = None
    # llama.cpp reads one prompt and copies its KV to all sequences: only its decode is looked at.
    copied: bool = False


@dataclass
class Row:
    """One line of the table: a speed of a case, and how often llama.cpp's it must be."""

    title: str
    case: str
    speed: str  # speed_pp or speed_tg
    batch: int
    target: float
    needs_amx: bool = False


def say(text):
    print(text, file=sys.stderr, flush=True)


def has_amx():
    return "amx_int8" in cpu("flags").split()


def cpu(key):
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.split(":")[0].strip() == key:
            return line.split(":", 1)[1].strip()
    return ""


def told(command):
    """What a command would print if typed: programs and files by name, not by place."""
    return " ".join(Path(word).name if "/" in str(word) else str(word) for word in command)


COMMANDS = []


def run(command):
    """Both outputs of a command, and its peak memory in bytes."""
    COMMANDS.append(told(command))
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = subprocess.Popen([str(word) for word in command], stdout=out, stderr=err)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0), err.seek(0)
        text, rest = out.read().decode(errors="replace"), err.read().decode(errors="replace")
    if child.returncode != 0:
        sys.exit(f"error: {told(command)} ended with {child.returncode}:\n{(text + rest)[-2000:]}")
    return text, rest, usage.ru_maxrss * 1024


def run_llama(case, options):
    largest = max(int(batch) for batch in case.batches.split(","))
    # Every sequence gets the same share of the context, in whole 256s.
    context = largest * -(-(case.pp + case.tg) // 256) * 256
    shape = ["-npp", case.pp, "-ntg", case.tg, "-npl", case.batches, "-c", context]
    shape += ["-t", THREADS, "-tb", THREADS, "--output-format", "jsonl", "-lv", "4"]
    shape += ["-pps"] if case.copied else []
    out, err, peak = run([case.llama / "llama-batched-bench", "-m", case.model, *shape, *options])
    rows = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    load = re.search(r"load time =\s*([0-9.]+) ms", out + err)
    return {"rows": rows, "peak": peak, "load": float(load[1]) / 1000 if load else None}


def run_ours(case):
    shape = ["--pp", case.pp, "--tg", case.tg, "--batch", case.batches, "--threads", THREADS]
    shape += ["--memory", case.memory, *(["--tier", case.tier] if case.tier else [])]
    out, _, _ = run([OURS, "model", case.model, "--bench", *shape, "--format", "json"])
    return json.loads(out)


def measure(case):
    """All rounds of a case: what ours and each of llama.cpp's modes printed."""
    ours, theirs = [], {name: [] for name in case.modes or MODES}
    rounds = int(FEWER.get(case.key, ROUNDS))
    for number in range(rounds):
        say(f"{case.key}: round {number + 1} of {rounds}")
        for name, options in (case.modes or MODES).items():
            theirs[name].append(run_llama(case, options))
        ours.append(run_ours(case))
    return {"ours": ours, "theirs": theirs}


def loads(case):
    """Seconds from the open file to the end of a first step of 16 tokens, as llama.cpp counts its load time."""
    short = replace(case, pp=16, tg=1, batches="1")
    say(f"{case.key}: {LOADS} loads of each")
    return {
        "theirs": [run_llama(short, MODES["repack"])["load"] for _ in range(LOADS)],
        "ours": [run_ours(short)["setting"]["warm_seconds"] for _ in range(LOADS)],
    }


def speeds(runs, key, batch):
    """Median and spread in percent of one speed over all rounds; none where it was not run."""
    all = [row[key] for one in runs for row in one["rows"] if row["pl"] == batch]
    if not all:
        return None
    middle = statistics.median(all)
    return middle, 100 * (max(all) - min(all)) / middle


def better_mode(theirs, key, batch):
    """llama.cpp's better mode: (name, median, spread)."""
    all = [(name, speeds(runs, key, batch)) for name, runs in theirs.items()]
    known = [(name, *speed) for name, speed in all if speed]
    return max(known, key=lambda one: one[1]) if known else None


def figure(speed, spread):
    return f"{speed:.0f} ({spread:.0f} %)" if speed >= 100 else f"{speed:.1f} ({spread:.0f} %)"


def verdict(met, waits):
    word = "yes" if met else "no"
    return f"waits for AMX (here: {word})" if waits else word


def speed_line(row, case, results):
    target = f"{row.target:g} ×"
    if case.missing:
        return [row.title, target, "", "", "", f"not run: {case.missing}"]
    ours = speeds(results["ours"], row.speed, row.batch)
    theirs = better_mode(results["theirs"], row.speed, row.batch)
    ratio = ours[0] / theirs[1]
    left = f"{figure(*theirs[1:])}, {theirs[0]}"
    waits = row.needs_amx and not has_amx()
    return [row.title, target, left, figure(*ours), f"{ratio:.2f}", verdict(ratio >= row.target, waits)]


def memory_line(title, results):
    """The round that took the most, beside file and cache; llama.cpp's peak for comparison."""
    memory = max((run["memory"] for run in results["ours"]), key=lambda one: one["peak_bytes"])
    base = memory["file_bytes"] + memory["kv_bytes"]
    over = memory["peak_bytes"] / base - 1
    peaks = {name: max(run["peak"] for run in runs) for name, runs in results["theirs"].items()}
    name = min(peaks, key=peaks.get)
    mib = lambda count: f"{count / 2**20:.0f} MiB"
    ours = f"{mib(memory['peak_bytes'])} of {mib(memory['file_bytes'])} + {mib(memory['kv_bytes'])}"
    theirs = f"{mib(peaks[name])}, {name}"
    return [title, "file + KV + 15 %", theirs, ours, f"{100 * over:+.1f} %", verdict(over <= 0.15, False)]


def load_line(title, seconds):
    """The quickest and the slowest of each side's loads; the quickest counts."""
    if None in seconds["theirs"]:
        return [title, "1 ×", "not told", "", "", "not run"]
    told = lambda side: f"{min(seconds[side]):.2f} to {max(seconds[side]):.2f} s"
    ratio = min(seconds["theirs"]) / min(seconds["ours"])
    return [title, "1 ×", f"{told('theirs')}, repack", told("ours"), f"{ratio:.2f}", verdict(ratio >= 1, False)]


def print_table(head, lines, out):
    print("| " + " | ".join(head) + " |", file=out)
    print("|" + "|".join("---" if i in (0, 2) else "---:" for i in range(len(head))) + "|", file=out)
    for line in lines:
        print("| " + " | ".join(line) + " |", file=out)


def single(model, pp, tg, batches):
    """The table of one model and shape: batched.sh."""
    llama = Path(ENV("LLAMA_BENCH", "")).parent
    case = Case("it", Path(model), int(pp), int(tg), batches, llama, tier=ENV("TIER", ""), memory=ENV("MEMORY", "6GiB"))
    warn_of_load()
    results = measure(case)
    setting = results["ours"][0]["setting"]
    loads = [run["setting"]["load_seconds"] for run in results["ours"]]
    print(
        f"{setting['model']}, {setting['threads']} threads, {setting['tier']}; prompts of {pp} tokens, "
        f"answers of {tg}; medians of {ROUNDS} rounds, tokens a second (spread); ours loads in "
        f"{statistics.median(loads):.2f} s\n"
    )
    lines = []
    for key, step in (("speed_pp", "prefill"), ("speed_tg", "decode")):
        for batch in map(int, batches.split(",")):
            mine, best = speeds(results["ours"], key, batch), better_mode(results["theirs"], key, batch)
            theirs = [figure(*best[1:]), best[0]] if best else ["not run", ""]
            ratio = f"{mine[0] / best[1]:.2f}" if best else ""
            lines.append([str(batch), step, *theirs, figure(*mine), ratio])
    print_table(["batch", "step", "llama.cpp", "its better mode", "ours", "ratio"], lines, sys.stdout)


def model_path(variable, name, fetched=""):
    """(path, why there is none)"""
    if ENV(variable):
        return Path(ENV(variable)), ""
    if not fetched:
        return None, f"{variable} names no {name}"
    script = ROOT / "fixtures/get-model.sh"
    got = subprocess.run(["bash", script, fetched], capture_output=True, text=True)
    path = got.stdout.strip()
    return (Path(path), "") if got.returncode == 0 else (None, got.stderr.strip().splitlines()[-1])


def folder(variable):
    """A folder of llama.cpp's programs."""
    place = ENV(variable)
    if not place:
        return None, f"{variable} names no build of llama.cpp"
    if not os.access(Path(place) / "llama-batched-bench", os.X_OK):
        return None, f"{variable} holds no llama-batched-bench"
    return Path(place), ""


def cases(scratch):
    """Every case of the table. QUICK takes shapes that only show that everything runs."""
    q = lambda full, quick: quick if QUICK else full
    llama, no_llama = folder("LLAMA")
    big, no_big = model_path("MODEL_15B", "Qwen2.5-Coder-1.5B-Instruct Q4_K_M", "default")
    half, no_half = model_path("MODEL_05B", "Qwen2.5-Coder-0.5B-Instruct Q4_K_M")
    small, no_small = model_path("MODEL_135M", "SmolLM2-135M-Instruct Q4_1", "small")
    eight = ENV("MODEL_8B") or scratch / "llama-3.1-8b.gguf"
    avx2, no_avx2 = folder("LLAMA_AVX2")
    no_amx, no_no_amx = folder("LLAMA_AVX512") if has_amx() else (llama, no_llama)
    long_modes = {**MODES, "no-repack, -fa off": ["-fa", "off", "--no-repack"]}
    pp, tg = q(512, 32), q(32, 8)
    return [
        Case("1.5b", big, pp, tg, q("1,16,32", "1,4"), llama, no_llama or no_big),
        Case("135m", small, pp, tg, "16", llama, no_llama or no_small),
        Case("0.5b", half, pp, tg, q("16", "4"), llama, no_llama or no_half),
        Case("avx512", big, pp, tg, q("1,16", "1,4"), no_amx, no_no_amx or no_big, tier="avx512-vnni" if has_amx() else ""),
        Case("avx2", big, pp, tg, "1", avx2, no_avx2 or no_big, tier="avx2"),
        Case("8b", Path(eight), q(256, 16), q(16, 2), q("8", "2"), llama, no_llama, memory="20GiB"),
        Case("long", big, q(8192, 256), q(16, 4), q("8", "2"), llama, no_llama or no_big, modes=long_modes, copied=True),
    ]


def rows():
    few, many = (4, 4) if QUICK else (16, 32)
    half, eight = (4, 2) if QUICK else (16, 8)
    big = "Qwen 1.5B Q4_K_M"
    return [
        Row(f"prefill, {big}, 512 × 1", "1.5b", "speed_pp", 1, 5, True),
        Row(f"prefill, {big}, 512 × 16", "1.5b", "speed_pp", few, 5, True),
        Row(f"decode, {big}, batch 1", "1.5b", "speed_tg", 1, 1.2),
        Row(f"decode, {big}, batch 16", "1.5b", "speed_tg", few, 4, True),
        Row(f"decode, {big}, batch 32", "1.5b", "speed_tg", many, 5, True),
        Row("prefill, SmolLM2-135M Q4_1, batch 16", "135m", "speed_pp", 16, 3),
        Row("decode, SmolLM2-135M Q4_1, batch 16", "135m", "speed_tg", 16, 3),
        Row("prefill, Qwen 0.5B mixed types, batch 16", "0.5b", "speed_pp", half, 3),
        Row("decode, Qwen 0.5B mixed types, batch 16", "0.5b", "speed_tg", half, 3),
        Row(f"no AMX on both sides: prefill, {big}", "avx512", "speed_pp", few, 1.4),
        Row(f"no AMX on both sides: decode, {big}, batch 16", "avx512", "speed_tg", few, 2),
        Row(f"AVX2 only on both sides: prefill, {big}", "avx2", "speed_pp", 1, 1.3),
        Row(f"AVX2 only on both sides: decode, {big}, batch 1", "avx2", "speed_tg", 1, 1),
        Row("prefill, Llama-3.1-8B shape, random weights, batch 8", "8b", "speed_pp", eight, 4),
        Row("decode, Llama-3.1-8B shape, random weights, batch 8", "8b", "speed_tg", eight, 3),
        Row(f"decode at 8k tokens of context, {big}, batch 8", "long", "speed_tg", eight, 3),
    ]


def make_8b(case):
    """The file of random weights, where none was given."""
    if not case.missing and not case.model.exists():
        layers = ["--layers", "2"] if QUICK else []
        script = Path(__file__).with_name("random_model.py")
        subprocess.run([sys.executable, script, case.model, *layers], check=True)


def night_line(model):
    """One night of contracts beside llama-server: night.sh."""
    title, target = "end to end: summary and eight fields of each contract", "6 ×"
    missing = next((f"{name} is not set" for name in ("CONTRACTS", "LLAMA") if not ENV(name)), "")
    missing = missing or ("" if model else "there is no model")
    if missing:
        return [title, target, "", "", "", f"not run: {missing}"]
    with tempfile.NamedTemporaryFile() as out:
        script = Path(__file__).with_name("night.py")
        count = ENV("COUNT", "2" if QUICK else "40")
        environment = {**os.environ, "MODEL": str(model), "RESULT": out.name, "COUNT": count, "RECORD": ""}
        subprocess.run([sys.executable, script, ENV("CONTRACTS")], check=True, env=environment, stdout=sys.stderr)
        result = json.loads(Path(out.name).read_text())
    ours, theirs = result["ours"]["seconds"], result["theirs"]["seconds"]
    told = f"{theirs:.0f} s", f"{ours:.0f} s, {result['documents']} contracts"
    return [title, target, *told, f"{theirs / ours:.2f}", verdict(theirs / ours >= 6, False)]


def warn_of_load():
    load = os.getloadavg()[0]
    if load >= 1:
        say(f"warning: the load of this machine is {load:.1f}; other work will show in the numbers")


def record(out, table, load):
    """Machine, builds and commands, so that the figures can be had again."""
    first = lambda command: subprocess.run(command, capture_output=True, text=True)
    llama = Path(ENV("LLAMA", "."))
    version = first([llama / "llama-batched-bench", "--version"])
    wanted = re.compile(r"(CMAKE_BUILD_TYPE|CMAKE_C_COMPILER|CMAKE_C_FLAGS|GGML_(NATIVE|AVX\w*|AMX\w*|FMA|F16C|BMI2|CPU_REPACK|LLAMAFILE|OPENMP)):")
    flags = lambda place: ", ".join(
        re.sub(r":\w+=", "=", line).replace("/usr/bin/", "")
        for line in place.read_text().splitlines()
        if wanted.match(line) and not line.endswith(("=", "OFF"))
    ) if place.exists() else "not known"
    commit = first(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"]).stdout.strip()
    dirty = " with changes" if first(["git", "-C", ROOT, "status", "--porcelain", "-uno"]).stdout else ""
    memory = re.search(r"MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text())
    print(f"# Speed, {datetime.date.today()}\n", file=out)
    quick = ", QUICK: shapes that only show that everything runs" if QUICK else ""
    print(f"`tests/bench/table.sh`, {ROUNDS} round(s), {THREADS} threads{quick}; load before the start {load:.2f}.\n", file=out)
    out.write(table)
    print(f"\n## Machine\n\n{cpu('model name')}, {os.cpu_count()} processors, {int(memory[1]) >> 20} GiB, Linux {platform.release()}", file=out)
    print(f"\nCPU flags: {cpu('flags')}", file=out)
    print(f"\n## Builds\n\n- nightclerk: commit {commit}{dirty}, {first([OURS, '--version']).stdout.strip()}, from `{OURS.resolve().parent.name}/`, {first(['rustc', '--version']).stdout.strip()}", file=out)
    told = " ".join((version.stdout + version.stderr).split())
    print(f"- llama.cpp: {told}; {flags(llama.parent / 'CMakeCache.txt')}", file=out)
    for name in ("LLAMA_AVX2", "LLAMA_AVX512"):
        if ENV(name):
            print(f"- {name}: {flags(Path(ENV(name)).parent / 'CMakeCache.txt')}", file=out)
    print("\n## Commands, in order\n", file=out)
    for command in dict.fromkeys(COMMANDS):
        print(f"    {command}", file=out)


NOTES = """
Medians of {rounds} round(s){fewer}, both programs in turn, tokens a second (spread between rounds), {threads} threads. llama.cpp
with flash attention, repacked or not, whichever is better; `no AMX` is the same build on a machine without it.
Load is from the open file (in the page cache) to the end of a first step of 16 tokens, which is what llama.cpp
prints as load time: {loads} loads of each program in a row, the quickest counts, since what the host of a virtual
machine needs to find memory anew is no program's. Peak memory is VmHWM; llama.cpp's is its smaller mode's. At 8k of context llama.cpp reads
the prompt once and copies its KV to the other sequences (-pps), ours reads them all; only decode is compared,
llama.cpp also without flash attention. Cache there: 8 × 8,208 tokens of 28 KiB, 1.9 GiB.
"""


def whole():
    only = set(filter(None, ENV("ONLY", "").split(",")))
    load = os.getloadavg()[0]
    warn_of_load()
    with contextlib.ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=ENV("SCRATCH"))))
        all, results, loaded = {case.key: case for case in cases(scratch)}, {}, {}
        for case in all.values():
            if only and case.key not in only:
                case.missing = case.missing or "not asked for (ONLY)"
            if case.missing:
                continue
            # Without AMX the figures of `1.5b` are those without AMX.
            if case.key == "avx512" and not has_amx() and "1.5b" in results:
                results[case.key] = results["1.5b"]
                continue
            if case.key == "8b":
                make_8b(case)
            results[case.key] = measure(case)
            if case.key in ("1.5b", "135m", "0.5b", "8b"):
                loaded[case.key] = loads(case)
    lines = [speed_line(row, all[row.case], results.get(row.case)) for row in rows()]
    names = {"1.5b": "Qwen 1.5B", "135m": "SmolLM2-135M", "0.5b": "Qwen 0.5B", "8b": "8B shape", "long": "Qwen 1.5B at 8k"}
    known = {key: name for key, name in names.items() if key in results}
    lines += [memory_line(f"peak memory, {name}", results[key]) for key, name in known.items()]
    lines += [load_line(f"load, {names[key]}", seconds) for key, seconds in loaded.items()]
    lines.append(night_line(all["1.5b"].model))
    fewer = "".join(f", of {case}: {rounds}" for case, rounds in FEWER.items())
    with tempfile.TemporaryFile("w+") as text:
        print_table(["case", "at least", "llama.cpp", "ours", "ratio", "met"], lines, text)
        print(NOTES.format(rounds=ROUNDS, fewer=fewer, threads=THREADS, loads=LOADS), file=text)
        text.seek(0)
        table = text.read()
    print("QUICK: shapes that only show that everything runs; no figure here means anything.\n\n" if QUICK else "", end="")
    print(table, end="")
    if ENV("RECORD"):
        Path(ENV("RECORD")).parent.mkdir(parents=True, exist_ok=True)
        with open(ENV("RECORD"), "w") as out:
            record(out, table, load)
        say(f"record: {ENV('RECORD')}")


if not os.access(OURS, os.X_OK):
    sys.exit(f"error: {OURS}: no program; cargo build --release makes it, or NIGHTCLERK names it")
single(*sys.argv[1:]) if sys.argv[1:] else whole()
