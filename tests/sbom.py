#!/usr/bin/env python3
"""What the program is made of: sbom.cdx.json (CycloneDX 1.5) and the licences of every crate.

    sbom.py OUT COMMIT     from `cargo metadata --locked`; the crates must have been fetched

Only what is linked into the program or builds it is listed, not what the tests use. Python 3.9, standard
library only.
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import uuid

LICENCE = re.compile(r"^(licen[cs]e|copying|copyright|notice|unlicense)", re.IGNORECASE)


def metadata():
    cargo = os.environ.get("CARGO", "cargo")
    command = [cargo, "metadata", "--locked", "--format-version", "1",
               "--filter-platform", "x86_64-unknown-linux-gnu"]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def reached(nodes, root):
    """Ids of the packages that the program needs, tests left out."""
    found, todo = set(), [root]
    while todo:
        name = todo.pop()
        if name in found:
            continue
        found.add(name)
        for dependency in nodes[name]["deps"]:
            if any(kind["kind"] != "dev" for kind in dependency["dep_kinds"]):
                todo.append(dependency["pkg"])
    return found


def checksums():
    """(name, version) → SHA-256 of the crate file, from Cargo.lock."""
    found, name, version = {}, None, None
    for line in pathlib.Path("Cargo.lock").read_text().splitlines():
        key, _, value = line.partition(" = ")
        value = value.strip('"')
        if key == "name":
            name = value
        elif key == "version":
            version = value
        elif key == "checksum":
            found[name, version] = value
    return found


def purl(package):
    return f"pkg:cargo/{package['name']}@{package['version']}"


def component(package, sums):
    entry = {
        "type": "library", "bom-ref": purl(package), "name": package["name"],
        "version": package["version"], "purl": purl(package),
    }
    if package.get("license"):
        entry["licenses"] = [{"expression": package["license"].replace("/", " OR ")}]
    digest = sums.get((package["name"], package["version"]))
    if digest:
        entry["hashes"] = [{"alg": "SHA-256", "content": digest}]
    return entry


def copy_licences(package, folder):
    """Copies what the crate says of its licence, and gives whether it has a file that says it."""
    source = pathlib.Path(package["manifest_path"]).parent
    found = [path for path in sorted(source.iterdir()) if LICENCE.match(path.name) and path.is_file()]
    target = folder / f"{package['name']}-{package['version']}"
    target.mkdir()
    for path in found:
        shutil.copyfile(path, target / path.name)
    if not found:
        words = f"The crate holds no licence file; its manifest says: {package.get('license')}\n"
        (target / "LICENCE.txt").write_text(words)
    return bool(found)


def main(out, commit):
    out, facts, sums = pathlib.Path(out), metadata(), checksums()
    packages = {package["id"]: package for package in facts["packages"]}
    nodes = {node["id"]: node for node in facts["resolve"]["nodes"]}
    root = facts["resolve"]["root"]
    needed = reached(nodes, root)
    own = packages[root]
    libraries = sorted((packages[one] for one in needed - {root}), key=purl)
    program = {**component(own, sums), "type": "application"}
    program["properties"] = [{"name": "commit", "value": commit}]
    dependencies = [
        {"ref": purl(packages[one]),
         "dependsOn": sorted({purl(packages[dependency["pkg"]]) for dependency in nodes[one]["deps"]
                              if dependency["pkg"] in needed})}
        for one in sorted(needed, key=lambda one: purl(packages[one]))
    ]
    bom = {
        "bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1,
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, purl(own) + commit)}",
        "metadata": {"component": program},
        "components": [component(package, sums) for package in libraries],
        "dependencies": dependencies,
    }
    (out / "sbom.cdx.json").write_text(json.dumps(bom, indent=2) + "\n")
    folder = out / "licences"
    folder.mkdir(exist_ok=True)
    without = [purl(package) for package in libraries if not copy_licences(package, folder)]
    unnamed = [purl(package) for package in libraries if not package.get("license")]
    print(f"{len(libraries)} crates; {len(without)} hold no licence file of their own")
    if unnamed:
        sys.exit(f"error: no licence stated by {', '.join(unnamed)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
