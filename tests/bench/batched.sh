#!/usr/bin/env bash
# Speed beside llama.cpp's: `llama-batched-bench` and `nightclerk model --bench` in turn, on the same
# GGUF with the same threads, three times. Prints the medians of tokens a second and the ratios, as
# Markdown. One model and shape; `table.sh` prints all that the engine is judged by.
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
exec python3 "$(dirname "${BASH_SOURCE[0]}")/table.py" "$1" "${2:-512}" "${3:-32}" "${4:-1,8,16}"
