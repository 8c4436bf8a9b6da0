"""The folder of an office for the other scripts of this one: an empty inbox, `terms.toml` with some fields of
prompts/contract-terms.toml, each as it asks, and `jobs.toml`.
"""
import hashlib
import json
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
JOBS = """
output = "out"
[model]
path = "{model}"
sha256 = "{sha256}"
[engine]
threads = {threads}
memory = "{memory}"
context_tokens = {context}
[audit]
origin = "example.com/night"
key_dir = "keys"
[[job]]
name = "contracts"
input = {{ inbox = "inbox" }}
include = ["**/*"]
tasks = {tasks}
settle = "0s"
"""


def lay_out(folder, model, fields, *, tasks=("terms.toml",), threads=2, memory="4GiB", context=4096):
    (folder / "inbox").mkdir()
    head, *blocks = re.split(r"(?m)^(?=\[\[field\]\])", (ROOT / "prompts/contract-terms.toml").read_text())
    named = {re.search(r'(?m)^name *= *"([^"]+)"', block)[1]: block for block in blocks}
    (folder / "terms.toml").write_text(head + "".join(named[name] for name in fields))
    digest = hashlib.sha256()
    with open(model, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    (folder / "jobs.toml").write_text(
        JOBS.format(model=Path(model).resolve(), sha256=digest.hexdigest(), threads=threads, memory=memory,
                    context=context, tasks=json.dumps(tasks))
    )
