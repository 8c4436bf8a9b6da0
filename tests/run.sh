#!/usr/bin/env bash
# Everything that must pass: formatting, lints, tests with a real model, documentation.
#
# Takes under 30 minutes on 2 cores from scratch, most of it compiling. Every step is run even where one
# before it failed; the end says which failed.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD

failed=()

# step TITLE SECONDS COMMAND…: runs a command within a limit of time.
step() {
  local title=$1 seconds=$2 start=$SECONDS code=0
  shift 2
  printf '\n== %s\n' "$title"
  timeout --foreground "$seconds" "$@" || code=$?
  case $code in
    0) printf '== %s: passed in %d s\n' "$title" $((SECONDS - start)) ;;
    124) printf '== %s: FAILED, stopped after %d s\n' "$title" "$seconds" && failed+=("$title") ;;
    *) printf '== %s: FAILED with exit code %d\n' "$title" "$code" && failed+=("$title") ;;
  esac
}

# What the tests call, and the Debian package that brings it.
packages_missing() {
  local pair
  for pair in cc:gcc git:git python3:python3 flock:util-linux tesseract:tesseract-ocr; do
    command -v "${pair%%:*}" >/dev/null || printf '%s\n' "${pair##*:}"
  done
  python3 -m pip --version >/dev/null 2>&1 || printf 'python3-pip\n'
}

install_packages() {
  local packages as_root=()
  mapfile -t packages < <(packages_missing)
  [ ${#packages[@]} -gt 0 ] || { echo "all here" && return; }
  echo "missing: ${packages[*]}"
  if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || { echo "error: install these first; there is no sudo" && return 1; }
    as_root=(sudo)
  fi
  "${as_root[@]}" apt-get update -q && "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -q -y --no-install-recommends "${packages[@]}"
}

get_model() {
  bash "$root/fixtures/get-model.sh" small
}

printf '\n== Debian packages\n'
install_packages || failed+=("Debian packages")

printf '\n== The small model\n'
if NIGHTCLERK_TEST_MODEL=$(get_model); then
  export NIGHTCLERK_TEST_MODEL
  echo "$NIGHTCLERK_TEST_MODEL"
else
  failed+=("The small model")
fi

step "Formatting" 60 cargo fmt --check
step "Lints" 1500 cargo clippy --all-targets --locked -- -D warnings
step "Tests" 1500 cargo test --locked
export RUSTDOCFLAGS="-D warnings"
step "Documentation" 600 cargo doc --locked --no-deps --document-private-items

if [ ${#failed[@]} -gt 0 ]; then
  printf '\n== FAILED: %s\n' "$(IFS=, && echo "${failed[*]}")"
  exit 1
fi
printf '\n== Everything passed in %d s\n' "$SECONDS"
