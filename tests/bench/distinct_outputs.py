#!/usr/bin/env python3
"""How many different outputs one prompt gets at temperature 0, sent many times among others.

    LLAMA=build/bin tests/bench/distinct_outputs.py MODEL.gguf

`llama-server -np 16` gets one prompt COUNT times (100) among three times as many others of random length, 16
requests at a time, and the different texts are counted. Ours does the same and more in the test
`random_compositions_of_a_real_prompt_give_one_output` (src/engine/composition_tests.rs), which compares
tokens and the bits of all logits: it is run with the same model and count, unless OURS=0. Environment besides:
THREADS (2), PREDICT tokens of each answer (48), PARALLEL (16), SEED (1), RECORD (a file that gets the result,
too). Needs Python 3; for ours, cargo.
"""
import os
import random
import re
import subprocess
import sys
from pathlib import Path

sys.dont_write_bytecode = True
from server import llama_server

ROOT = Path(__file__).resolve().parents[2]
ENV = os.environ.get
# The words of the test.
SYSTEM = "You answer from the document."
DOCUMENT = (
    "This Services Agreement is made as of 1 March 2024 by and between Northwind Supply Inc., a Delaware "
    "corporation, and Blue Harbor LLC. Northwind pays 12,000 dollars in advance on the first day of each "
    "quarter, and Blue Harbor keeps the warehouse open on working days. "
)
TASK = "Who are the parties, and what does each of them owe?"
WORDS = "tenant pays the rent in advance and landlord keeps roof on first day of each month".split()


def body(system, text, predict):
    messages = [{"role": "system", "content": system}, {"role": "user", "content": text}]
    return {"messages": messages, "max_tokens": predict, "temperature": 0, "cache_prompt": True}


def of_llama(model, count, predict):
    source = random.Random(int(ENV("SEED", "1")))
    asked = body(SYSTEM, DOCUMENT + TASK, predict)
    bodies = [asked] * count
    for _ in range(3 * count):
        text = " ".join(source.choices(WORDS, k=source.randint(1, 300)))
        shared = DOCUMENT if source.random() < 0.3 else ""
        bodies.append(body(SYSTEM, shared + text, source.randint(1, predict)))
    source.shuffle(bodies)
    at_once = int(ENV("PARALLEL", "16"))
    options = ["-np", at_once, "-c", at_once * 1024, "-t", ENV("THREADS", "2"), "-fa", "on"]
    with llama_server(ENV("LLAMA"), model, options) as server:
        answers = server.ask_all("/v1/chat/completions", bodies, at_once)
        told = server.options
    texts = [answer["choices"][0]["message"]["content"] for answer, one in zip(answers, bodies) if one is asked]
    return len(texts), len(set(texts)), f"llama-server {told}"


def of_ours(model, count):
    test = "engine::composition_tests::random_compositions_of_a_real_prompt_give_one_output"
    command = ["cargo", "test", "--lib", test, "--", "--exact", "--ignored", "--nocapture"]
    environment = {**os.environ, "NIGHTCLERK_TEST_MODEL": str(model.resolve()), "NIGHTCLERK_COMPOSITIONS": str(count)}
    told = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    found = re.search(r"(\d+) different outputs of (\d+)", told.stdout)
    if not found:
        sys.exit("error: the test told nothing:\n" + (told.stdout + told.stderr)[-2000:])
    return int(found[2]), int(found[1]), "nightclerk, random batch mates, steps, threads, tiers, sharing, restarts; bits of all logits"


def main():
    if len(sys.argv) != 2 or not ENV("LLAMA"):
        sys.exit(__doc__)
    model, count, predict = Path(sys.argv[1]), int(ENV("COUNT", "100")), int(ENV("PREDICT", "48"))
    lines = [of_llama(model, count, predict)]
    if ENV("OURS", "1") != "0":
        lines.append(of_ours(model, count))
    text = f"{model.name}, one prompt among others, temperature 0\n\n| engine | times asked | different outputs |\n|---|---:|---:|\n"
    text += "".join(f"| {name} | {times} | {different} |\n" for times, different, name in lines)
    print(text, end="")
    if ENV("RECORD"):
        Path(ENV("RECORD")).write_text(text)


main()
