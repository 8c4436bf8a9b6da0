#!/usr/bin/env python3
"""What the summaries of an output folder state, and how much of it their documents bear out.

usage: summaries.py OUT [--inputs FOLDER] [--reader "pdftotext {} -"]

For each record below OUT with a summary: its words, its sentences and those with a passage, the figures and
names in the first answers and in the summary with the share that is borne out (as the record's own check
says), the questions asked once more, and the tokens of the whole record. The last line sums up.

With --inputs a second opinion that shares no code with the first: FOLDER/<path> is read by another reader,
and of the numbers and of the words with a capital inside a sentence of each summary the share that stands in
its text is printed. It knows neither "thirty" for 30 nor dates, so it is the stricter one for figures.
"""
import argparse, json, os, re, shlex, subprocess

def numbers(text):
    found = re.findall(r"\d[\d,]*(?:\.\d+)?", text)
    return [re.sub(r"\.0+$", "", n.replace(",", "")) for n in found]

def names(text):
    return re.findall(r"(?<![.!?:;] )(?<!^)\b[A-Z][A-Za-z]{2,}", text)

def records(folder):
    for base, _, files in sorted(os.walk(folder)):
        for name in sorted(files):
            if name.endswith(".json"):
                with open(os.path.join(base, name), encoding="utf-8") as file:
                    record = json.load(file)
                if isinstance(record, dict) and record.get("summary"):
                    yield record

def share(stated, wrong):
    return f"{(stated - wrong) / stated:.3f}" if stated else "-"

def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("out")
    ap.add_argument("--inputs")
    ap.add_argument("--reader", default="pdftotext {} -")
    args = ap.parse_args()
    columns = "document words sentences quoted first final again prompt answer"
    print(f"{columns.split()[0]:24}" + "".join(f"{name:>11}" for name in columns.split()[1:]))
    total = dict.fromkeys(
        ("words", "sentences", "quoted", "fs", "fu", "s", "u", "again", "prompt", "answer"), 0)
    seen = {"numbers": [0, 0], "names": [0, 0]}
    count = 0
    for record in records(args.out):
        summary, check = record["summary"], record["summary"]["check"]
        points = [(p["text"], p["evidence"]) for p in summary["points"]]
        beginning = re.split(r"(?<=[.!?]) (?=[A-Z])", summary["text"])
        quoted = sum(bool(e) for _, e in points) + (len(beginning) if summary.get("evidence") else 0)
        texts = [summary["text"]] + [text for text, _ in points]
        row = dict(
            words=sum(len(text.split()) for text in texts), sentences=len(points) + len(beginning),
            quoted=quoted, fs=check["first_stated"], fu=check["first_unsupported"], s=check["stated"],
            u=check["unsupported"], again=check["asked_again"], prompt=record["tokens"]["prompt"],
            answer=record["tokens"]["answer"])
        for key, value in row.items():
            total[key] += value
        line(record["source"]["path"], row)
        count += 1
        if args.inputs:
            command = [part.replace("{}", os.path.join(args.inputs, record["source"]["path"]))
                       for part in shlex.split(args.reader)]
            source = subprocess.run(command, capture_output=True, check=True).stdout.decode("utf-8", "replace")
            known = {"numbers": set(numbers(source)), "names": set(re.findall(r"[a-z]+", source.lower()))}
            for text in texts:
                for kind, found in (("numbers", numbers(text)), ("names", [n.lower() for n in names(text)])):
                    seen[kind][0] += len(found)
                    for one in (one for one in found if one not in known[kind]):
                        seen[kind][1] += 1
                        print(f"    not in the text as another reader has it: {one}: {text[:90]}")
    line(f"all {count}", total)
    if args.inputs:
        for kind, (stated, wrong) in seen.items():
            print(f"second opinion, {kind}: {stated - wrong} of {stated} ({share(stated, wrong)})")

def line(name, row):
    cells = [row["words"], row["sentences"], row["quoted"], share(row["fs"], row["fu"]),
             share(row["s"], row["u"]), row["again"], row["prompt"], row["answer"]]
    print(f"{name[:23]:24}" + "".join(f"{cell!s:>11}" for cell in cells))

if __name__ == "__main__":
    main()
