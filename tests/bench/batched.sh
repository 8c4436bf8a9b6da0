#!/usr/bin/env bash
# Speed beside llama.cpp's: `llama-batched-bench` and `nightclerk model --bench` in turn, on the same
# GGUF with the same threads, three times. Prints the medians of tokens a second and the ratios, as
# Markdown.
#
#   LLAMA_BENCH=path/to/llama-batched-bench tests/bench/batched.sh MODEL.gguf [PP [TG [BATCHES]]]
#
# PP and TG are the tokens of each prompt and each answer (512 and 32), BATCHES the sequences at once
# ("1,8,16"). Environment: NIGHTCLERK, the program (target/release/nightclerk); THREADS (2); ROUNDS (3);
# TIER, the instruction tier that ours must use (the fastest); MEMORY that ours may take (6GiB).
#
# llama.cpp runs with flash attention, once with its weights repacked and once with --no-repack; the
# better median counts, for prompts and for answers apart. Both programs should be release builds for
# this machine, and the machine should be idle: a warning is printed where it is not. Needs python3.
set -euo pipefail

if [ $# -lt 1 ] || [ -z "${LLAMA_BENCH:-}" ]; then
  sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}" >&2
  exit 1
fi
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
ours=${NIGHTCLERK:-$root/target/release/nightclerk}
model=$1 pp=${2:-512} tg=${3:-32} batches=${4:-1,8,16}
threads=${THREADS:-2} rounds=${ROUNDS:-3} memory=${MEMORY:-6GiB} tier=${TIER:-}
for program in "$ours" "$LLAMA_BENCH"; do
  [ -x "$program" ] || { echo "error: $program: no program" >&2 && exit 1; }
done

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

largest=$(tr ',' '\n' <<<"$batches" | sort -n | tail -1)
# llama.cpp gives every sequence the same share of the context, in whole 256s.
context=$((largest * ((pp + tg + 255) / 256) * 256))

# theirs MODE ROUND [OPTION…]
theirs() {
  local name=$1 round=$2
  shift 2
  "$LLAMA_BENCH" -m "$model" -npp "$pp" -ntg "$tg" -npl "$batches" -c "$context" -t "$threads" \
    -tb "$threads" -fa on --output-format jsonl "$@" >"$folder/$name.$round" 2>"$folder/log" ||
    { cat "$folder/log" >&2 && exit 1; }
}

load=$(cut -d' ' -f1 /proc/loadavg)
if [ "$(cut -d. -f1 <<<"$load")" -ge 1 ]; then
  echo "warning: the load of this machine is $load; other work will show in the numbers" >&2
fi
for ((round = 1; round <= rounds; round++)); do
  echo "round $round of $rounds" >&2
  theirs repack "$round"
  theirs no-repack "$round" --no-repack
  "$ours" model "$model" --bench --pp "$pp" --tg "$tg" --batch "$batches" --threads "$threads" \
    --memory "$memory" ${tier:+--tier "$tier"} --format json >"$folder/ours.$round"
done

python3 - "$folder" "$rounds" <<'EOF'
import json, statistics, sys
from pathlib import Path

folder, rounds = Path(sys.argv[1]), range(1, int(sys.argv[2]) + 1)


def lines(name, number):
    text = (folder / f"{name}.{number}").read_text()
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


ours = [json.loads((folder / f"ours.{number}").read_text()) for number in rounds]
theirs = {name: [lines(name, number) for number in rounds] for name in ("repack", "no-repack")}


def medians(runs, key):
    """Tokens a second of each batch: the median of all rounds, and their spread in percent."""
    values = {}
    for row in (row for run in runs for row in run):
        values.setdefault(row["pl"], []).append(row[key])
    spread = lambda all: 100 * (max(all) - min(all)) / statistics.median(all)
    return {batch: (statistics.median(all), spread(all)) for batch, all in values.items()}


setting = ours[0]["setting"]
loads = [run["setting"]["load_seconds"] for run in ours]
first = ours[0]["rows"][0]
print(
    f'{setting["model"]}, {setting["threads"]} threads, {setting["tier"]}; prompts of {first["pp"]} '
    f'tokens, answers of {first["tg"]}; medians of {len(ours)} rounds, tokens a second (spread); '
    f"ours loads in {statistics.median(loads):.2f} s\n"
)
print("| batch | step | llama.cpp | its better mode | ours | ratio |")
print("|---:|---|---:|---|---:|---:|")
for key, step in (("speed_pp", "prefill"), ("speed_tg", "decode")):
    mine = medians([run["rows"] for run in ours], key)
    modes = {name: medians(runs, key) for name, runs in theirs.items()}
    for batch, (speed, spread) in mine.items():
        known = [name for name in modes if batch in modes[name]]
        if not known:
            print(f"| {batch} | {step} | not run | | {speed:.1f} ({spread:.0f} %) | |")
            continue
        name = max(known, key=lambda name: modes[name][batch][0])
        best, wide = modes[name][batch]
        print(
            f"| {batch} | {step} | {best:.1f} ({wide:.0f} %) | {name} | {speed:.1f} ({spread:.0f} %) "
            f"| {speed / best:.2f} |"
        )
EOF
