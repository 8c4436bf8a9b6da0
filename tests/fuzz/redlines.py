#!/usr/bin/env python3
"""Compares the views of Word files with tracked changes at random with twins whose changes are resolved in the XML.

usage: python3 tests/fuzz/redlines.py [--files 60] [--seed 1] [--program target/release/nightclerk] [--keep FOLDER]

Each file mixes insertions, deletions and moves of runs, fields, formulas, paragraph marks, rows and cells, what was
inserted and deleted again, and changed properties that matter for the text (hidden runs, numbering), in paragraphs,
tables in tables, content controls, hyperlinks and footnotes. Its twins are what is left when every change is accepted
or rejected as ECMA-376, part 1, 17.13.5 describes it. A view counts as equal when its text is, blind to white space.
Ends with 1 if one differs. Standard library only.
"""
import argparse, copy, os, random, re, subprocess, sys, tempfile, zipfile
import xml.etree.ElementTree as ET

W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
M = "http://schemas.openxmlformats.org/officeDocument/2006/math"
PACKAGE = "http://schemas.openxmlformats.org/package/2006"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
GONE = {True: {"del", "moveFrom", "cellDel"}, False: {"ins", "moveTo", "cellIns"}}
MARKS = GONE[True] | GONE[False]
ET.register_namespace("w", W)
ET.register_namespace("m", M)


class Redline:
    """One document, as text of XML."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.words = self.changes = 0
        self.notes = []

    def pick(self, *weighted):
        """One of (weight, what makes it), the weights in hundredths; none of them leaves nothing."""
        left = self.random.random() * 100
        for weight, make in weighted:
            left -= weight
            if left < 0:
                return make()
        return ""

    def some(self, low, high, make):
        return "".join(make() for _ in range(self.random.randint(low, high)))

    def change(self, name, inside="", by=None):
        self.changes += 1
        author = by or self.random.choice(["Ann", "Ben"])
        start = f'<w:{name} w:id="{self.changes}" w:author="{author}" w:date="2024-03-01T09:00:00Z"'
        return f"{start}>{inside}</w:{name}>" if inside else start + "/>"

    def word(self):
        self.words += 1
        return f"w{self.words} "

    def run_properties(self):
        hidden = "<w:rPr><w:vanish/></w:rPr>"
        return self.pick(
            (7, lambda: f"<w:rPr><w:vanish/>{self.change('rPrChange', '<w:rPr/>')}</w:rPr>"),
            (7, lambda: f"<w:rPr>{self.change('rPrChange', hidden)}</w:rPr>"),
            (9, lambda: f"<w:rPr><w:b/>{self.change('rPrChange', '<w:rPr/>')}</w:rPr>"))

    def run(self, text="t"):
        after = self.pick((5, lambda: "<w:tab/>"), (3, lambda: "<w:br/>"))
        return (f'<w:r>{self.run_properties()}<w:{text} xml:space="preserve">{self.word()}</w:{text}>'
                f"{after}</w:r>")

    def field(self, text="t"):
        code = "instrText" if text == "t" else "delInstrText"
        mark = lambda kind: f'<w:r><w:fldChar w:fldCharType="{kind}"/></w:r>'
        begin = f'{mark("begin")}<w:r><w:{code}> REF x </w:{code}></w:r>{mark("separate")}'
        return begin + self.run(text) + mark("end")

    def note(self):
        self.notes.append(self.paragraphs(1, 2, in_note=True))
        return f'<w:r><w:footnoteReference w:id="{len(self.notes) + 1}"/></w:r>'

    def formula(self):
        run = lambda: f"<m:r><m:t>{self.word()}</m:t></m:r>"
        changed = lambda: self.pick((25, lambda: self.change("ins", run())),
                                    (25, lambda: self.change("del", run())), (50, run))
        power = f"<m:sSup><m:e>{run()}{changed()}</m:e><m:sup>{run()}</m:sup></m:sSup>"
        return f"<m:oMath>{run()}{changed()}{power}{changed()}</m:oMath>"

    def inline(self, depth):
        if depth > 2:
            return self.run()
        two = lambda: self.inline(depth + 1) + self.inline(depth + 1)
        deleted = lambda: self.pick((30, lambda: self.field("delText"))) + self.run("delText")
        return self.pick(
            (45, self.run),
            (7, self.field),
            (5, lambda: f'<w:hyperlink w:anchor="x">{two()}</w:hyperlink>'),
            (5, lambda: f"<w:sdt><w:sdtPr/><w:sdtContent>{two()}</w:sdtContent></w:sdt>"),
            (4, lambda: self.note() if depth == 0 else self.run()),
            (4, lambda: self.formula() if depth == 0 else self.run()),
            (10, lambda: self.change("ins", self.run() + self.run())),
            (10, lambda: self.change("del", deleted())),
            (3, lambda: self.change("ins", self.change("del", self.run("delText"), by="Cid") + self.run())),
            (3, lambda: self.change("moveFrom", self.run())),
            (4, lambda: self.change("moveTo", self.run() + self.run())))

    def paragraph(self, last=False, in_note=False):
        numbered = lambda: f'<w:numPr><w:ilvl w:val="{self.random.randint(0, 2)}"/><w:numId w:val="1"/></w:numPr>'
        was = self.pick(
            (8, lambda: self.change("pPrChange", f"<w:pPr>{numbered()}</w:pPr>")),
            (6, lambda: self.change("pPrChange", "<w:pPr/>")))
        # The mark that ends a cell, a note or the body cannot be changed.
        mark = "" if last else self.pick(
            (12, lambda: self.change("ins")), (12, lambda: self.change("del")),
            (3, lambda: self.change("moveFrom")), (3, lambda: self.change("moveTo")),
            (3, lambda: self.change("ins") + self.change("del")))
        properties = f"<w:pPr>{self.pick((30, numbered))}<w:rPr>{mark}</w:rPr>{was}</w:pPr>"
        return f"<w:p>{properties}{self.some(0, 5, lambda: self.inline(1 if in_note else 0))}</w:p>"

    def paragraphs(self, low, high, in_note=False):
        count = self.random.randint(low, high)
        return "".join(self.paragraph(n == count - 1, in_note) for n in range(count))

    def cell(self, depth):
        mark = self.pick((8, lambda: self.change("cellIns")), (8, lambda: self.change("cellDel")),
                         (5, lambda: self.change("tcPrChange", '<w:tcPr><w:tcW w:w="5"/></w:tcPr>')))
        nested = lambda: self.table(depth + 1) + self.paragraph(True)
        inside = (self.pick((10, nested)) if depth == 0 else "") or self.paragraphs(1, 3)
        return f"<w:tc><w:tcPr>{mark}</w:tcPr>{inside}</w:tc>"

    def table(self, depth=0):
        def row():
            mark = self.pick(
                (15, lambda: self.change("ins")), (15, lambda: self.change("del")),
                (6, lambda: self.change("ins") + self.change("del")),
                (8, lambda: self.change("trPrChange", "<w:trPr><w:tblHeader/></w:trPr>")))
            return f"<w:tr><w:trPr>{mark}</w:trPr>{self.some(3, 3, lambda: self.cell(depth))}</w:tr>"
        changed = self.change("tblPrChange", "<w:tblPr/>")
        return f"<w:tbl><w:tblPr>{changed}</w:tblPr>{self.some(1, 4, row)}</w:tbl>"

    def body(self):
        last = lambda: self.paragraph(True)
        control = lambda: f"<w:sdt><w:sdtPr/><w:sdtContent>{last()}{last()}</w:sdtContent></w:sdt>"
        return self.some(4, 9, lambda: self.pick(
            (25, lambda: last() + self.table() + last()), (10, control), (65, lambda: self.paragraphs(2, 5))))


def name(element):
    return element.tag.rsplit("}", 1)[-1]


def child(element, *path):
    for step in path:
        element = element.find(f"{{{W}}}{step}") if element is not None else None
    return element


def marked(properties, accept):
    """Whether properties say that what they are of goes away."""
    return properties is not None and any(name(mark) in GONE[accept] for mark in properties)


def resolve(parent, accept):
    """Resolves every change below `parent`."""
    left = []
    joined = None
    for element in list(parent):
        kind = name(element)
        if kind in MARKS:
            # Among properties it is a mark, which was read; elsewhere it holds what it changes.
            if name(parent) not in ("rPr", "trPr", "tcPr") and kind not in GONE[accept]:
                resolve(element, accept)
                left.extend(element)
            continue
        if kind in ("tr", "tc") and marked(child(element, kind + "Pr"), accept):
            continue
        goes_on = kind == "p" and marked(child(element, "pPr", "rPr"), accept)
        resolve(element, accept)
        if kind in ("tbl", "tr") and child(element, "tr" if kind == "tbl" else "tc") is None:
            continue
        if joined is not None and kind == "p":
            element[1:1] = joined[1:]
            left.remove(joined)
        joined = element if goes_on else None
        left.append(element)
    changes = [element for element in left if name(element) == name(parent) + "Change"]
    for change in changes:
        left.remove(change)
        if not accept:
            left = list(change[0]) + [kept for kept in left if name(parent) == "pPr" and name(kept) == "rPr"]
    parent[:] = left
    if name(parent) in ("delText", "delInstrText"):
        parent.tag = parent.tag.replace("delText", "t").replace("delI", "i")


def package(path, document, notes):
    levels = enumerate([("decimal", "%1."), ("lowerLetter", "%1.%2"), ("lowerRoman", "(%3)")])
    levels = "".join(f'<w:lvl w:ilvl="{n}"><w:start w:val="1"/><w:numFmt w:val="{kind}"/><w:lvlText w:val="{text}"/>'
                     "</w:lvl>" for n, (kind, text) in levels)
    main = "application/vnd.openxmlformats-officedocument.wordprocessingml"
    overrides = "".join(f'<Override PartName="/word/{part}.xml" ContentType="{main}.{kind}+xml"/>' for part, kind in
                        (("document", "document.main"), ("numbering", "numbering"), ("footnotes", "footnotes")))
    relations = lambda *parts: f'<Relationships xmlns="{PACKAGE}/relationships">' + "".join(
        f'<Relationship Id="r{n}" Type="{OFFICE}/{kind}" Target="{target}"/>'
        for n, (kind, target) in enumerate(parts)) + "</Relationships>"
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{PACKAGE}/content-types"><Default Extension="rels" ContentType='
                               f'"application/vnd.openxmlformats-package.relationships+xml"/>{overrides}</Types>',
        "_rels/.rels": relations(("officeDocument", "word/document.xml")),
        "word/_rels/document.xml.rels": relations(("numbering", "numbering.xml"), ("footnotes", "footnotes.xml")),
        "word/document.xml": ET.tostring(document),
        "word/footnotes.xml": ET.tostring(notes),
        "word/numbering.xml": f'<w:numbering xmlns:w="{W}"><w:abstractNum w:abstractNumId="0">{levels}</w:abstractNum>'
                              '<w:num w:numId="1"><w:abstractNumId w:val="0"/></w:num></w:numbering>',
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for part, content in parts.items():
            file.writestr(part, content)


def text(program, path, *view):
    ran = subprocess.run([program, "text", *view, path], capture_output=True)
    return ran.returncode, re.sub(r"\s+", "", ran.stdout.decode())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--files", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--program", default="target/release/nightclerk")
    parser.add_argument("--keep")
    options = parser.parse_args()
    folder = options.keep or tempfile.mkdtemp()
    os.makedirs(folder, exist_ok=True)
    equal = {True: 0, False: 0}
    for number in range(options.seed, options.seed + options.files):
        made = Redline(number)
        spaces = f'xmlns:w="{W}" xmlns:m="{M}"'
        document = ET.fromstring(f"<w:document {spaces}><w:body>{made.body()}<w:sectPr/></w:body></w:document>")
        notes = "".join(f'<w:footnote w:id="{n + 2}">{note}</w:footnote>' for n, note in enumerate(made.notes))
        notes = ET.fromstring(f"<w:footnotes {spaces}>{notes}</w:footnotes>")
        path = os.path.join(folder, f"{number}.docx")
        package(path, document, notes)
        for accept, twin, view in ((True, "accepted", ()), (False, "rejected", ("--view", "original"))):
            parts = copy.deepcopy(document), copy.deepcopy(notes)
            for part in parts:
                resolve(part, accept)
            resolved = os.path.join(folder, f"{number}-{twin}.docx")
            package(resolved, *parts)
            seen, wanted = text(options.program, path, *view), text(options.program, resolved)
            same = seen == wanted and seen[0] in (0, 3)
            equal[accept] += same
            if not same:
                print(f"{path}: not as {twin}, exit {seen[0]} and {wanted[0]}")
    print(f"accepted {equal[True]}/{options.files}, original {equal[False]}/{options.files}")
    return 0 if set(equal.values()) == {options.files} else 1


if __name__ == "__main__":
    sys.exit(main())
