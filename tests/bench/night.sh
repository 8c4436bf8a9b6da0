#!/usr/bin/env bash
# A night of contracts from start to last answer: `nightclerk run`, then `llama-server -np 16` sent the
# same prompts. One summary and the fields of each contract, asked as prompts/ asks them.
#
#   LLAMA=build/bin MODEL=model.gguf tests/bench/night.sh FOLDER-OF-CONTRACTS
#
# COUNT (all) takes so many files of mixed length: all are ordered by size and cut into COUNT parts, and
# SEED (1) chooses one of each part; BYTES_MAX leaves larger files out; the result names the files. The
# prompts are those of `nightclerk run --transcript`: system text, document and question word for word,
# put into the model's chat template by each side. llama-server answers 16 at a time with its prompt cache
# on and flash attention, without a grammar. ANSWERS=free (the limits are ours, the model ends where it
# likes) or ANSWERS=same (exactly as many tokens as ours wrote, so that the work is equal). ROUNDS (1) of
# both in turn. THREADS (2), PARALLEL (16), CONTEXT (4096 tokens a question), MEMORY (6GiB, ours),
# SERVER_OPTIONS (more words for llama-server, --no-repack say), NIGHTCLERK (target/release/nightclerk),
# SCRATCH, RECORD (a file that gets the result, too). The machine should be idle. Needs python3.
set -euo pipefail
if [ $# -ne 1 ] || [ -z "${LLAMA:-}" ] || [ -z "${MODEL:-}" ]; then
  sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}" >&2
  exit 1
fi
exec python3 "$(dirname "${BASH_SOURCE[0]}")/night.py" "$1"
