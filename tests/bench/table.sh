#!/usr/bin/env bash
# The speed, memory and load of nightclerk beside llama.cpp's, as one Markdown table: every case that the
# engine is judged by, with its target, both figures, their ratio, and whether it is met.
#
#   LLAMA=build/bin LLAMA_AVX2=build-avx2/bin CONTRACTS=folder RECORD=record.md tests/bench/table.sh
#
# LLAMA         folder of llama-batched-bench and llama-server: a release build for this machine
# LLAMA_AVX2    the same, built with GGML_NATIVE=OFF and AVX2, FMA, F16C, BMI2 only; unset: no such row
# LLAMA_AVX512  the same without AMX; only looked at on a machine that has AMX
# MODEL_15B     Qwen2.5-Coder-1.5B-Instruct Q4_K_M (unset: fixtures/get-model.sh gets it)
# MODEL_135M    SmolLM2-135M-Instruct Q4_1 (unset: the same)
# MODEL_05B     Qwen2.5-Coder-0.5B-Instruct Q4_K_M; unset: no such rows
# MODEL_8B      a GGUF of the Llama-3.1-8B shape (unset: made of random weights, 4.9 GB, and removed)
# CONTRACTS     folder of contracts for the row "end to end" (night.sh; COUNT, SEED, BYTES_MAX as there)
# ROUNDS (3), THREADS (2), NIGHTCLERK (target/release/nightclerk), SCRATCH (folder for the 8B file)
# ROUNDS_OF     cases with other rounds, such as 8b=1,long=1
# ONLY          only these cases, by comma: 1.5b 135m 0.5b avx512 avx2 8b long
# QUICK=1       one round of small shapes: shows that everything runs, measures nothing
# RECORD        file to write the table to, with machine, builds and commands (tests/bench/records)
#
# The whole table takes about an hour and a half on two cores. The machine should be idle: a warning is
# printed where it is not. Needs python3.
set -euo pipefail
if [ $# -gt 0 ] || [ -z "${LLAMA:-}" ]; then
  sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}" >&2
  exit 1
fi
exec python3 "$(dirname "${BASH_SOURCE[0]}")/table.py"
