#!/usr/bin/env python3
"""Has the program read every file below a folder, as a night would, and says how each ended and what it cost.

usage: python3 tests/fuzz/odd.py FOLDER [--program target/release/nightclerk] [--list refused]

FOLDER holds whatever breaks readers: test suites of other readers, archives of mail, a file server. `nightclerk plan`
reads all of it, members of ZIP archives too, in one process with its reader processes and without a model. Printed
are the outcomes by kind, the time, and the peak memory (VmHWM) of the process that stays. Broken, with exit code 1, is
a parent that dies, panics or grows beyond --memory MB, and a file without an outcome. --list prints the documents of
a kind with their reasons. Standard library only.
"""
import argparse, collections, json, os, re, subprocess, sys, tempfile, time

JOBS = """output = "out"
[model]
path = "none.gguf"
sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
[audit]
origin = "example.com/odd"
key_dir = "keys"
[[job]]
name = "odd"
input = { odd = %s }
tasks = ["task.toml"]
settle = "0s"
archives = true
"""
TASK = 'kind = "summarize"\ninstruction = "Summarize."\n'
KINDS = [
    ("timeout", "reading took longer"),
    ("memory", "of memory"),
    ("output cap", "what was read is longer"),
    ("crashed", "the reader crashed|killed by signal"),
    ("panicked", "the reader panicked"),
    ("forbidden call", "forbidden system call"),
    ("unsound answer", "unsound|cannot be understood|without a whole answer"),
    ("server lost", "parse server"),
]


def high_water(pid):
    try:
        with open(f"/proc/{pid}/status") as status:
            found = re.search(r"VmHWM:\s+(\d+)", status.read())
        return int(found[1]) / 1024 if found else 0
    except OSError:
        return 0


def kind_of(document):
    if document["state"] in ("refused", "deferred"):
        return document["state"]
    reason = document.get("reason", "")
    if not reason:
        return "read"
    return next((kind for kind, words in KINDS if re.search(words, reason)), "failed")


def files_below(folder):
    """As the walk counts them: what begins with a dot and what editors leave is nobody's document."""
    count = 0
    for _, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not left(name)]
        count += sum(not left(name) for name in names)
    return count


def left(name):
    tmp = name.startswith("~") and name.lower().endswith(".tmp")
    return name.startswith((".", "~$")) or name.endswith("~") or tmp or name.lower() in ("thumbs.db", "desktop.ini")


def main():
    ap = argparse.ArgumentParser(usage=__doc__.split("\n\n")[1])
    ap.add_argument("folder")
    ap.add_argument("--program", default="target/release/nightclerk")
    ap.add_argument("--memory", type=int, default=300, help="MB that the parent may have at most")
    ap.add_argument("--list", default="", help="kinds whose documents are printed, with commas")
    a = ap.parse_args()
    program, folder = os.path.abspath(a.program), os.path.abspath(a.folder)
    with tempfile.TemporaryDirectory() as work:
        with open(os.path.join(work, "jobs.toml"), "w") as jobs:
            jobs.write(JOBS % json.dumps(folder))
        with open(os.path.join(work, "task.toml"), "w") as task:
            task.write(TASK)
        start, peak = time.monotonic(), 0.0
        with open(os.path.join(work, "plan"), "w+b") as out, open(os.path.join(work, "said"), "w+b") as said:
            parent = subprocess.Popen([program, "plan", "--format", "json"], cwd=work, stdout=out, stderr=said)
            while parent.poll() is None:
                peak = max(peak, high_water(parent.pid))
                time.sleep(0.05)
            seconds = time.monotonic() - start
            out.seek(0)
            said.seek(0)
            plan, said = out.read(), said.read().decode(errors="replace")
    if parent.returncode != 0 or "panicked at" in said:
        sys.exit(f"BROKEN: the parent ended with {parent.returncode}\n{said[-2000:]}")
    documents = json.loads(plan)["documents"]
    kinds = collections.defaultdict(list)
    for document in documents:
        kinds[kind_of(document)].append(document)
    for kind, found in sorted(kinds.items(), key=lambda item: -len(item[1])):
        print(f"{len(found):7} {kind}")
    listed = a.list.split(",")
    for kind, found in kinds.items():
        for document in found if kind in listed else []:
            print(f"{kind}: {document['path']}: {document.get('reason', '')}")
    top = {document["path"].split(".zip/")[0] for document in documents}
    print(f"{len(documents)} documents in {seconds:.0f} s; the parent's peak is {peak:.0f} MB")
    missing = files_below(folder) - len(top)
    if missing > 0:
        sys.exit(f"BROKEN: {missing} files have no outcome")
    if peak > a.memory:
        sys.exit(f"BROKEN: more than {a.memory} MB")


main()
