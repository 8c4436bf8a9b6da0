#!/usr/bin/env python3
"""Compares the views of Word files with tracked changes with the same files after LibreOffice has accepted or rejected
every change in them.

usage: python3 tests/fuzz/redlines_office.py FOLDER [--program target/release/nightclerk] [--keep FOLDER]

LibreOffice (7.4, headless, in a profile of its own) opens each DOCX of FOLDER three times and writes it again: as it
is, with every change accepted, and with every change rejected. `nightclerk text` reads what it wrote. Each view of a
file is the same as what LibreOffice made of it, or differs; a view that is another one already where LibreOffice only
wrote the file again says nothing about changes and is counted apart. Text is compared blind to white space. Prints
every difference with the characters around the first; ends with 1 if there is one. Standard library only.
"""
import argparse, glob, os, pathlib, re, signal, subprocess, sys, tempfile

ACTIONS = {"kept": "", "accepted": ".uno:AcceptAllTrackedChanges", "rejected": ".uno:RejectAllTrackedChanges"}
SECONDS_MAX = 60
MACRO = """
Sub Resolve(inputs, outputs)
  Dim hidden(0) As New com.sun.star.beans.PropertyValue, filter(0) As New com.sun.star.beans.PropertyValue
  hidden(0).Name = "Hidden" : hidden(0).Value = True
  filter(0).Name = "FilterName" : filter(0).Value = "MS Word 2007 XML"
  dispatcher = createUnoService("com.sun.star.frame.DispatchHelper")
  number = FreeFile
  Open inputs For Input As #number
  On Error Resume Next
  Do While Not Eof(number)
    Line Input #number, words
    word = Split(words, "|")
    document = Nothing
    document = StarDesktop.loadComponentFromURL(ConvertToURL(word(0)), "_blank", 0, hidden())
    If Not IsNull(document) Then
      If word(1) <> "" Then dispatcher.executeDispatch(document.CurrentController.Frame, word(1), "", 0, Array())
      document.storeToURL(ConvertToURL(outputs & "/" & word(2)), filter())
      document.close(True)
    End If
  Loop
  Close #number
End Sub
"""
LIBRARY = "http://openoffice.org/2000/library"


def office(home, *words):
    """Runs LibreOffice; a file that it hangs on is given up."""
    profile = f"-env:UserInstallation={pathlib.Path(home).as_uri()}"
    process = subprocess.Popen(["soffice", "--headless", "--norestore", profile, *words], start_new_session=True,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        process.wait(SECONDS_MAX)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def teach(home):
    """Puts the macro into the standard library of a new profile."""
    office(home, "--terminate_after_init")
    basic = pathlib.Path(home, "user/basic/Standard")
    escape = lambda text: text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")
    basic.joinpath("Redlines.xba").write_text(
        '<?xml version="1.0" encoding="UTF-8"?><script:module xmlns:script="http://openoffice.org/2000/script" '
        f'script:name="Redlines" script:language="StarBasic">{escape(MACRO)}</script:module>')
    basic.joinpath("script.xlb").write_text(
        f'<?xml version="1.0" encoding="UTF-8"?><library:library xmlns:library="{LIBRARY}" library:name="Standard" '
        'library:readonly="false" library:passwordprotected="false"><library:element library:name="Redlines"/>'
        "</library:library>")
    basic.parent.joinpath("script.xlc").write_text(
        f'<?xml version="1.0" encoding="UTF-8"?><library:libraries xmlns:library="{LIBRARY}" xmlns:xlink='
        '"http://www.w3.org/1999/xlink"><library:library library:name="Standard" library:link="false"/>'
        "</library:libraries>")


def resolve(paths, folder):
    """Has LibreOffice write each file in every way, as FOLDER/number-way.docx."""
    work = os.path.join(folder, "work.txt")
    with tempfile.TemporaryDirectory() as home:
        teach(home)
        for number, path in enumerate(paths):
            with open(work, "w") as file:
                file.write("\n".join(f"{os.path.abspath(path)}|{action}|{number}-{way}.docx"
                                     for way, action in ACTIONS.items()))
            office(home, f'macro:///Standard.Redlines.Resolve("{work}","{folder}")')


def text(program, path, *view):
    ran = subprocess.run([program, "text", *view, path], capture_output=True)
    return re.sub(r"\s+", "", ran.stdout.decode()) if ran.returncode in (0, 3) else None


def around(ours, theirs):
    at = next((n for n, (a, b) in enumerate(zip(ours, theirs)) if a != b), min(len(ours), len(theirs)))
    return f"    ours   {ours[max(0, at - 30):at + 40]!r}\n    theirs {theirs[max(0, at - 30):at + 40]!r}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--program", default="target/release/nightclerk")
    parser.add_argument("--keep")
    options = parser.parse_args()
    made = os.path.abspath(options.keep or tempfile.mkdtemp())
    os.makedirs(made, exist_ok=True)
    paths = sorted(glob.glob(os.path.join(options.folder, "*.docx")))
    resolve(paths, made)
    counts = {"same": 0, "different": 0, "not comparable": 0}
    for number, path in enumerate(paths):
        made_of = lambda way: os.path.join(made, f"{number}-{way}.docx")
        for way, view in (("accepted", "accepted"), ("rejected", "original")):
            ours, theirs = text(options.program, path, "--view", view), text(options.program, made_of(way))
            # What writing alone changes says nothing about changes.
            is_kept = ours is not None and ours == text(options.program, made_of("kept"), "--view", view)
            verdict = "same" if ours == theirs else "different" if is_kept and theirs else "not comparable"
            counts[verdict] += 1
            if verdict == "different":
                print(f"{path}: {view} ({number}-{way}.docx)\n{around(ours, theirs)}")
    print(", ".join(f"{count} {verdict}" for verdict, count in counts.items()))
    return 1 if counts["different"] else 0


if __name__ == "__main__":
    sys.exit(main())
