#!/usr/bin/env bash
# Makes the bundle for a machine that has no network: program, model, checksums, SBOM, licences, manual.
#
#   bash tests/release.sh [OUT]          with the default model (1.1 GB); OUT is a new folder, by default
#                                        target/bundle
#   MODEL=small bash tests/release.sh    with the 98 MB model; MODEL=none without one
#   SOURCES=yes bash tests/release.sh    also the sources of the program and of every crate, to build there
#
# It stands with the tests because it is one: the bundle is tried in a network namespace without any
# interface before it is called done. The same commit, toolchain and model give the same SHA256SUMS.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

cargo=${CARGO:-cargo}
target=${CARGO_TARGET_DIR:-target}
out=${1:-$target/bundle}
model=${MODEL:-default}

step() { printf '\n== %s\n' "$*" >&2; }

[ ! -e "$out" ] || { echo "error: $out is there already; take it away or name another folder" >&2; exit 1; }

step "The program"
commit=$(git rev-parse HEAD)
[ -z "$(git status --porcelain)" ] || commit=$commit-changed
NIGHTCLERK_COMMIT=$commit "$cargo" build --release --locked
mkdir -p "$out"/{bin,model,man,completions,licences}
cp "$target/release/nightclerk" "$out/bin/"
"$out/bin/nightclerk" man "$out/man"
for shell in bash zsh fish; do
  "$out/bin/nightclerk" completions "$shell" > "$out/completions/nightclerk.$shell"
done
# Each under its own path, so that what the pages link to and name is there.
carried="README.md docs LICENSE-APACHE LICENSE-MIT tests/verify.py fixtures/inbox src/README.md
  src/audit/FORMAT.md src/cli/nightclerk.service src/cli/nightclerk.timer"
cp -r --parents $carried "$out/"

step "SBOM and licences"
python3 tests/sbom.py "$out" "$commit"

if [ "$model" != none ]; then
  step "The model"
  cp "$(bash fixtures/get-model.sh "$model")" "$out/model/"
fi

if [ "${SOURCES:-no}" = yes ]; then
  step "The sources"
  mkdir -p "$out/sources/.cargo"
  git archive HEAD | tar -x -C "$out/sources"
  "$cargo" vendor --locked --quiet "$out/sources/vendor" > /dev/null
  cat > "$out/sources/.cargo/config.toml" <<END
[source.crates-io]
replace-with = "vendored-sources"

[source.vendored-sources]
directory = "vendor"

[env]
NIGHTCLERK_COMMIT = "$commit"
END
fi

cat > "$out/INSTALL.txt" <<'END'
nightclerk: from this folder to the first night, without a network

1. Check what you carried in:          sha256sum --quiet -c SHA256SUMS
   (compare the digest of SHA256SUMS itself with the one that whoever made the bundle tells you)
2. Install the program:                install -m 755 bin/nightclerk /usr/local/bin/
   its manual and completions:         install -D -m 644 -t /usr/local/share/man/man1 man/*.1
                                       cp completions/nightclerk.bash /etc/bash_completion.d/nightclerk
3. Install the model for one user:     mkdir -p ~/.cache/nightclerk/models
                                       cp model/*.gguf ~/.cache/nightclerk/models/
4. Make a folder and name the model:   nightclerk init /srv/clerk
   jobs.toml names a model and its SHA-256; SHA256SUMS has that of the model here.
5. The first night:                    cp fixtures/inbox/* /srv/clerk/inbox/
                                       cd /srv/clerk && nightclerk plan && nightclerk run
6. Check the log without the program:  python3 tests/verify.py /srv/clerk/out/.nightclerk /srv/clerk/out

The program needs Linux on x86-64 with the glibc of Debian 12 or newer, and nothing else.
sbom.cdx.json lists every crate in it (CycloneDX 1.5), licences/ holds their licences.
If there is a folder sources/: cd sources && cargo build --release --locked --offline builds the program.
END

step "Checksums"
(cd "$out" && find . -type f ! -name SHA256SUMS -printf '%P\0' | LC_ALL=C sort -z | xargs -0 sha256sum > SHA256SUMS)

step "Tried without a network"
try=$(mktemp -d)
trap 'rm -rf "$try"' EXIT
cat > "$try/try.sh" <<'END'
set -euo pipefail
bundle=$1 home=$2
[ "$(ls /sys/class/net | grep -vc '^lo$')" = 0 ] || { echo "error: there is a network here" >&2; exit 1; }
export HOME=$home XDG_CACHE_HOME=$home/.cache
cd "$bundle" && sha256sum --quiet -c SHA256SUMS
mkdir -p "$home/.cache/nightclerk/models"
cd "$home" && "$bundle/bin/nightclerk" init clerk && cd clerk
cp "$bundle"/fixtures/inbox/travel-policy.txt inbox/
"$bundle/bin/nightclerk" plan
for model in "$bundle"/model/*.gguf; do
  [ -e "$model" ] || continue
  digest=$(sha256sum "$model" | cut -d' ' -f1)
  code=0
  "$bundle/bin/nightclerk" run --model "$model" --sha256 "$digest" || code=$?
  [ "$code" = 0 ] || [ "$code" = 3 ]
  python3 "$bundle/tests/verify.py" out/.nightclerk out
done
END
mount_sys='mount -t sysfs none /sys 2>/dev/null || true'
unshare --net --mount --map-root-user bash -c "$mount_sys; exec bash '$try/try.sh' '$(realpath "$out")' '$try'"

printf '\nThe bundle: %s\n' "$out"
sha256sum "$out/SHA256SUMS"
