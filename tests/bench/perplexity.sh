#!/usr/bin/env bash
# Perplexity beside llama.cpp's, over the same text, chunk by chunk in the same way: for every model and
# the contexts 512 and 2,048, as Markdown. Within 0.3 % is what the engine is judged by.
#
#   LLAMA=build/bin tests/bench/perplexity.sh FOLDER-OF-TEXTS MODEL.gguf…
#
# The text is the first five files of the folder by name (TEXTS), the first BYTES (30,000) bytes of each,
# one after the other: what llama-perplexity does not take is a list of files. Both read it whole, cut it
# into chunks that do not overlap, put the begin token (where the model wants one) in place of a chunk's
# first, and score its second half. llama.cpp runs with flash attention, THREADS (2) threads on both sides.
# CONTEXTS ("512 2048"), TIER (the fastest), NIGHTCLERK (target/release/nightclerk), RECORD (a file that
# gets the table, too). A perplexity is no speed: a busy machine does not change it. Needs python3.
set -euo pipefail
if [ $# -lt 2 ] || [ -z "${LLAMA:-}" ]; then
  sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}" >&2
  exit 1
fi
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
ours=${NIGHTCLERK:-$root/target/release/nightclerk} threads=${THREADS:-2}
texts=$1
shift
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

python3 - "$texts" "${TEXTS:-5}" "${BYTES:-30000}" "$folder/text" <<'END'
import sys
from pathlib import Path

folder, count, size, out = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
files = sorted(path for path in folder.iterdir() if path.is_file())[:count]
parts = [path.read_bytes()[:size].decode(errors="ignore").strip() for path in files]
# llama-perplexity takes one line end off the end of a file; here is none.
Path(out).write_text("\n\n".join(parts), newline="")
END

table() {
  echo "Perplexity over the first ${TEXTS:-5} texts, ${BYTES:-30000} bytes of each; $(date +%F), $("$ours" --version)"
  echo
  echo "| model | context | chunks | llama.cpp | ours | difference | within 0.3 % |"
  echo "|---|---:|---:|---:|---:|---:|---|"
  local model context told mine
  for model in "$@"; do
    for context in ${CONTEXTS:-512 2048}; do
      told=$("$LLAMA/llama-perplexity" -m "$model" -f "$folder/text" -c "$context" -t "$threads" -fa on \
        2>&1 | sed -n 's/.*PPL = \([0-9.]*\).*/\1/p')
      mine=$("$ours" model "$model" --perplexity "$folder/text" --context "$context" --format json \
        --threads "$threads" ${TIER:+--tier "$TIER"} 2>"$folder/log") || { cat "$folder/log" >&2 && exit 1; }
      python3 - "$(basename "$model")" "$told" "$mine" <<'END'
import json, sys

name, told, mine = sys.argv[1], float(sys.argv[2] or "nan"), json.loads(sys.argv[3])
off = 100 * (mine["perplexity"] / told - 1)
within = "yes" if abs(off) <= 0.3 else "no"
print(f"| {name} | {mine['context']} | {mine['chunks']} | {told:.4f} | {mine['perplexity']:.4f} | {off:+.2f} % | {within} |")
END
    done
  done
}
table "$@" | tee ${RECORD:+"$RECORD"}
