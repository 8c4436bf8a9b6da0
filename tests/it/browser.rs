//! The report in a real browser: Chromium without a window, spoken to over a pipe (the Chrome DevTools
//! Protocol). By hand: `cargo test --test it browser -- --ignored --nocapture`; without Chromium it
//! fails and says so. Screenshots are kept in `target/tmp/report/` for a person to look at.

use std::collections::VecDeque;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use nightclerk::base::{Digest, DocId, RealDisk, base64};
use nightclerk::output::{NightFacts, PageText, PageTexts, Reported, Writer};
use serde_json::{Value, json};

use crate::night::{office, run};
use crate::support::{Folder, nightclerk};

/// A browser with one page.
struct Browser {
    process: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    session: Option<String>,
    next: u64,
    /// Events that nobody has asked for yet.
    events: VecDeque<Value>,
    _profile: Folder,
}

impl Browser {
    fn start() -> Browser {
        let profile = Folder::new("chromium");
        // Commands come in on descriptor 3 and answers go out on 4.
        let script = "exec chromium --headless=new --remote-debugging-pipe --no-sandbox --disable-gpu \
             --no-first-run --disable-background-networking --hide-scrollbars \
             --user-data-dir=\"$0\" about:blank 3<&0 4>&1 1>/dev/null 2>&1";
        let found = Command::new("chromium").arg("--version").output();
        assert!(
            found.is_ok(),
            "Chromium is not installed, so the report is NOT tested in a browser"
        );
        let mut command = Command::new("bash");
        command.args(["-c", script]).arg(profile.path());
        let started = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut process = started.expect("bash starts");
        let to = process.stdin.take().expect("piped");
        let from = BufReader::new(process.stdout.take().expect("piped"));
        let events = VecDeque::new();
        let mut browser =
            Browser { process, to, from, session: None, next: 0, events, _profile: profile };
        let target = browser.ask("Target.createTarget", json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let session = browser.ask("Target.attachToTarget", attach);
        browser.session = session["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Network", "Log", "Runtime"] {
            browser.ask(&format!("{domain}.enable"), json!({}));
        }
        browser.resize(1280, 900);
        browser
    }

    fn ask(&mut self, method: &str, params: Value) -> Value {
        self.next += 1;
        let mut message = json!({ "id": self.next, "method": method, "params": params });
        if let Some(session) = &self.session {
            message["sessionId"] = session.clone().into();
        }
        self.to.write_all(format!("{message}\0").as_bytes()).expect("the browser listens");
        loop {
            let message = self.hear();
            if message["id"] == self.next {
                assert!(message["error"].is_null(), "{method}: {}", message["error"]);
                return message["result"].clone();
            }
            self.events.push_back(message);
        }
    }

    fn hear(&mut self) -> Value {
        let mut message = Vec::new();
        self.from.read_until(0, &mut message).expect("the browser speaks");
        assert!(!message.is_empty(), "the browser has gone away");
        serde_json::from_slice(&message[..message.len() - 1]).expect("JSON")
    }

    fn resize(&mut self, width: u32, height: u32) {
        let size =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.ask("Emulation.setDeviceMetricsOverride", size);
    }

    /// Opens a file and waits until its script has run.
    fn open(&mut self, file: &Path) {
        self.ask("Page.navigate", json!({ "url": format!("file://{}", file.display()) }));
        while self.evaluate("document.readyState + (typeof view)") != "completeobject" {}
    }

    /// The value of an expression, or of what it promises.
    fn evaluate(&mut self, expression: &str) -> Value {
        let params =
            json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let result = self.ask("Runtime.evaluate", params);
        assert!(result["exceptionDetails"].is_null(), "{expression}: {result}");
        result["result"]["value"].clone()
    }

    fn number(&mut self, expression: &str) -> f64 {
        let value = self.evaluate(expression);
        value.as_f64().unwrap_or_else(|| panic!("{expression}: {value}"))
    }

    fn press(&mut self, key: &str) {
        for kind in ["keyDown", "keyUp"] {
            let text = if key.len() == 1 && kind == "keyDown" { key } else { "" };
            let code = if key == "Enter" { 13 } else { 0 };
            let params =
                json!({ "type": kind, "key": key, "text": text, "windowsVirtualKeyCode": code });
            self.ask("Input.dispatchKeyEvent", params);
        }
    }

    fn screenshot(&mut self, name: &str) {
        let shot = self.ask("Page.captureScreenshot", json!({ "format": "png" }));
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("report");
        fs::create_dir_all(&folder).expect("the target folder is writable");
        let png = base64::decode(shot["data"].as_str().expect("an image")).expect("base64");
        fs::write(folder.join(name), png).expect("the target folder is writable");
    }

    /// Every address that was asked for, and everything that the browser complained of.
    fn asked_for(&mut self) -> (Vec<String>, Vec<String>) {
        self.evaluate("new Promise(done => setTimeout(done, 200))");
        let (mut addresses, mut complaints) = (Vec::new(), Vec::new());
        for event in self.events.drain(..) {
            match event["method"].as_str() {
                Some("Network.requestWillBeSent") => {
                    addresses.push(event["params"]["request"]["url"].as_str().unwrap().to_owned());
                }
                Some("Log.entryAdded" | "Runtime.exceptionThrown") => {
                    complaints.push(event["params"].to_string());
                }
                _ => {}
            }
        }
        (addresses, complaints)
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It is ours, and has nothing to lose.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
#[ignore = "by hand: needs Chromium"]
fn the_report_of_a_night_is_read_by_keyboard_and_asks_for_nothing() {
    let folder = office("browser", 3);
    let hostile = "</script><script>window.taken = 1</script><img src=http://example.com/x.png>";
    folder.write("in/00/hostile.txt", format!("LEASE\n\n{hostile} between A Ltd and B Ltd.\n"));
    folder.write("in/00/picture.png", b"\x89PNG\r\n\x1a\n0000");
    assert_eq!(run(&folder, &[]).status.code(), Some(3));
    let page = folder.path().canonicalize().unwrap().join("out/report.html");
    let mut browser = Browser::start();
    browser.open(&page);
    browser.screenshot("night.png");
    // To the first document and into it, from passage to passage, to the next one, and back.
    browser.press("j");
    browser.press("k");
    browser.press("Enter");
    // The address says which document is open, and the page hears of that a little later.
    let hidden = "new Promise(done => setTimeout(() => done(byId('reader').hidden), 200))";
    assert_eq!(browser.evaluate(hidden), false);
    let loaded = "new Promise(done => { const wait = () => document.querySelector('#text .page pre')\
        && !byId('text').textContent.includes('being loaded') ? done(true) : setTimeout(wait, 20); wait(); })";
    assert_eq!(browser.evaluate(loaded), true, "the page texts beside it are loaded");
    // Random weights decide which documents have a passage: on to the first that has one.
    let mut leafed = 0;
    while browser.number("open.evidence.length") == 0.0 {
        leafed += 1;
        assert!(leafed < 4, "no document has a passage");
        browser.press("n");
        assert_eq!(browser.evaluate(hidden), false);
    }
    assert_eq!(browser.evaluate(loaded), true, "the page texts beside it are loaded");
    browser.press("j");
    assert_eq!(
        browser.number("document.querySelectorAll('#text mark.now').length > 0 ? 1 : 0"),
        1.0
    );
    let stands = "[...open.evidence].every(one => one.gone || [...document.querySelectorAll('#text mark')]\
        .filter(mark => mark.dataset.of.split(' ').includes(String(open.evidence.indexOf(one))))\
        .map(mark => mark.textContent).join('') === one.quote)";
    assert_eq!(browser.evaluate(stands), true, "what is marked is the quote");
    browser.screenshot("document.png");
    let first = browser.evaluate("byId('name').textContent");
    browser.press(if leafed == 0 { "n" } else { "p" });
    assert_eq!(browser.evaluate(hidden), false);
    assert_ne!(browser.evaluate("byId('name').textContent"), first);
    browser.press("Escape");
    assert_eq!(browser.evaluate("byId('reader').hidden"), true);
    // Search finds the hostile one, which has taken nothing over.
    browser.press("/");
    for key in ["h", "o", "s", "t", "i", "l", "e"] {
        browser.press(key);
    }
    assert_eq!(browser.evaluate("byId('count').textContent"), "1 document of 5");
    browser.press("Enter");
    browser.press("Enter");
    assert!(browser.evaluate("byId('name').textContent").as_str().unwrap().contains("hostile"));
    assert_eq!(browser.evaluate("typeof window.taken + document.images.length"), "undefined0");
    // It works without the texts beside it, and in the dark.
    fs::remove_dir_all(folder.path().join("out/report")).unwrap();
    let dark = json!({ "features": [{ "name": "prefers-color-scheme", "value": "dark" }] });
    browser.ask("Emulation.setEmulatedMedia", dark);
    browser.open(&page);
    browser.press("Enter");
    let alone = "new Promise(done => { const wait = () => byId('text').textContent.includes('would lie') \
        || byId('text').textContent.includes('was kept') ? done(true) : setTimeout(wait, 20); wait(); })";
    assert_eq!(browser.evaluate(alone), true);
    browser.screenshot("dark.png");
    let (addresses, complaints) = browser.asked_for();
    let below = format!("file://{}/", page.parent().unwrap().display());
    let beyond: Vec<&String> =
        addresses.iter().filter(|address| !address.starts_with(&below)).collect();
    assert!(beyond.is_empty(), "{beyond:?}");
    assert!(addresses.len() > 3, "requests are seen: {addresses:?}");
    // What was taken away is missed, and said so; nothing else is complained of.
    let missed = |complaint: &&String| !complaint.contains("ERR_FILE_NOT_FOUND");
    let complaints: Vec<&String> = complaints.iter().filter(missed).collect();
    assert!(complaints.is_empty(), "{complaints:?}");
}

/// A report of so many made-up documents, as large as those of a real night.
fn made_up(folder: &Folder, documents: usize) -> PathBuf {
    let writer = Writer::new(Arc::new(RealDisk), &folder.path().join("out"));
    let mut report = writer.report();
    let outcomes = ["done", "done", "done", "done", "partial", "done", "unchanged", "failed"];
    for number in 0..documents {
        let path = format!("inbox/{:02}/contract {number:04}.pdf", number % 40);
        let doc = DocId::new("contracts", "inbox", &path);
        let text = format!(
            "SERVICES AGREEMENT {number}\n\nThis agreement is made on {} March 2024 between Harbour Mills Ltd \
             and Tenant {number} LLC. It is governed by the laws of Ohio.\n{}",
            number % 28 + 1,
            "The tenant keeps the rooms clean and pays the rent on the first day of a month.\n"
                .repeat(8)
        );
        let field = |name: usize| {
            let quote =
                if name.is_multiple_of(2) { "the laws of Ohio" } else { "Harbour Mills Ltd" };
            let start = text.find(quote).expect("it is written there");
            let flags =
                if (number + name).is_multiple_of(11) { json!(["low_margin"]) } else { json!([]) };
            let evidence = json!([{
                "quote": quote, "page": 1, "start": start, "end": start + quote.len(), "match": "exact",
            }]);
            let value = format!("{quote} {}", (number * 7919 + name) % 1000);
            (
                format!("field_{name}"),
                json!({ "value": value, "raw": value, "evidence": evidence,
                "margin": 1200, "flags": flags }),
            )
        };
        let fields: serde_json::Map<String, Value> = (0..6).map(field).collect();
        let record = json!({
            "source": { "sha256": Digest::of(path.as_bytes()).to_string() },
            "coverage": { "pages": [{ "page": 1, "label": "1", "state": "read" }] },
            "summary": { "text": format!("A lease of the year {}.", 1990 + number % 35), "points": [] },
            "fields": fields,
            "made_with": { "model": Digest::of(b"model").to_string() },
        });
        let page = PageText { page: 1, label: "1".into(), text: text.clone(), hidden: Vec::new() };
        let texts = PageTexts {
            doc: doc.to_string(),
            text_sha256: Digest::of(text.as_bytes()),
            pages: vec![page],
            remarks: Vec::new(),
        };
        let outcome = outcomes[number % outcomes.len()];
        let reported = Reported {
            doc,
            job: if number % 3 == 0 { "letters" } else { "contracts" }.into(),
            path,
            outcome: outcome.into(),
            reason: if outcome == "failed" { "timeout: over 120 s".into() } else { String::new() },
            record: Some(record),
            notes: Vec::new(),
            entry: number as u64 + 1,
            texts: (number == documents / 2).then_some(texts),
        };
        report.add(reported).expect("writable");
    }
    let night = NightFacts {
        origin: "example.com/contracts".into(),
        when: "The last run began 2026-02-10T22:00:00Z and ended 2026-02-11T05:12:00Z.".into(),
        answers: (0..documents as i64)
            .map(|at| (1_770_760_800_000 + at * 5000, 5000, 700))
            .collect(),
        stages: vec![
            ("loading", 3.0, "loading the model 3 s".into()),
            ("answering", 25_000.0, "reading and answering 6 h 57 min".into()),
        ],
        made: vec![("model".into(), Digest::of(b"model").to_string())],
    };
    let page = report.finish(&night).expect("writable");
    folder.path().canonicalize().unwrap().join("out").join(page)
}

/// Scrolls the table in steps of 600 pixels, one a frame, and gives the frames' times in milliseconds.
const SCROLL: &str = "new Promise(done => {
  const [box, times] = [byId('window'), []];
  let last = 0;
  const frame = now => {
    if (last) times.push(now - last);
    last = now;
    box.scrollTop += 600;
    if (times.length < 240) requestAnimationFrame(frame); else done(times);
  };
  requestAnimationFrame(frame);
})";

/// How long until what an action changes is drawn.
fn drawn(browser: &mut Browser, action: &str) -> f64 {
    browser.number(&format!(
        "new Promise(done => {{ const start = performance.now(); {action}; requestAnimationFrame(() => \
         setTimeout(() => done(performance.now() - start))); }})"
    ))
}

#[test]
#[ignore = "by hand: needs Chromium"]
fn five_thousand_documents_scroll_sort_search_and_print() {
    const DOCUMENTS: usize = 5000;
    let folder = Folder::new("five-thousand");
    let page = made_up(&folder, DOCUMENTS);
    let size = fs::metadata(&page).unwrap().len() >> 20;
    let mut browser = Browser::start();
    let begun = Instant::now();
    browser.open(&page);
    let opened = begun.elapsed().as_secs_f64();
    let shown = browser.evaluate("byId('count').textContent");
    assert_eq!(shown, "5,000 documents of 5,000");
    browser.screenshot("5000.png");

    let frames = browser.evaluate(SCROLL);
    let mut frames: Vec<f64> =
        frames.as_array().unwrap().iter().map(|one| one.as_f64().unwrap()).collect();
    frames.sort_by(f64::total_cmp);
    let at = |percent: usize| frames[frames.len() * percent / 100];
    println!(
        "{DOCUMENTS} documents, {size} MiB: opened in {opened:.2} s; frames while scrolling: median {:.0} ms, \
         95 % within {:.0} ms, longest {:.0} ms",
        at(50),
        at(95),
        frames[frames.len() - 1]
    );
    let scrolled = browser.number("byId('window').scrollTop");
    assert!(scrolled > 100_000.0, "it has moved by {scrolled}");
    // Its lower edge may lie under that of the screen.
    browser.evaluate("byId('window').scrollIntoView()");
    let row = "document.elementFromPoint(300, byId('window').getBoundingClientRect().bottom - 60)\
        .closest('.row').ariaRowIndex * 1";
    let expected = (scrolled + browser.number("byId('window').clientHeight") - 60.0) / 32.0;
    let found = browser.number(row);
    assert!((found - expected).abs() < 4.0, "row {found} stands where {expected:.0} is expected");
    assert!(browser.number("document.querySelectorAll('.row').length") < 150.0);
    assert!(at(95) < 50.0, "it stutters: {frames:?}");

    let sort = "document.querySelector('[data-column=field_1] button').click()";
    let sorted = drawn(&mut browser, sort);
    let in_order = "view.shown.every((row, at) => at === 0 || \
        order.compare(words(view.shown[at - 1].fields.field_1), words(row.fields.field_1)) <= 0)";
    assert_eq!(browser.evaluate(in_order), true);
    let search = |words: &str| {
        format!(
            "byId('search').value = '{words}'; byId('search').dispatchEvent(new Event('input'))"
        )
    };
    let searched = drawn(&mut browser, &search("contract 2500"));
    assert_eq!(browser.evaluate("byId('count').textContent"), "1 document of 5,000");
    println!("sorted and drawn in {sorted:.0} ms, searched in {searched:.0} ms");
    assert!(sorted < 500.0 && searched < 500.0, "{sorted} {searched}");

    // Its evidence, beside the text that lies in report/.
    browser.press("Enter");
    let marked = "new Promise(done => { const wait = () => document.querySelector('#text mark') \
        && byId('text').textContent.includes('SERVICES AGREEMENT 2500') ? done(true) : setTimeout(wait, 20); wait(); })";
    assert_eq!(browser.evaluate(marked), true);
    browser.press("j");
    assert_ne!(browser.evaluate("document.querySelector('#text mark.now').textContent"), "");
    browser.screenshot("5000-document.png");
    browser.press("Escape");
    drawn(&mut browser, &search(""));

    // On paper every row stands, and on the screen again only those in view.
    let pdf = browser.ask("Page.printToPDF", json!({ "transferMode": "ReturnAsBase64" }));
    let pdf = folder.write("print.pdf", base64::decode(pdf["data"].as_str().unwrap()).unwrap());
    let printed = nightclerk(folder.path(), ["text".as_ref(), pdf.as_os_str()]).output().unwrap();
    let printed = String::from_utf8(printed.stdout).unwrap();
    // A name may be broken where it has a space.
    let printed = printed.split_whitespace().collect::<Vec<_>>().join(" ");
    let missing =
        (0..DOCUMENTS).filter(|number| !printed.contains(&format!("contract {number:04}")));
    assert_eq!(missing.count(), 0, "documents are missing on paper");
    assert!(browser.number("document.querySelectorAll('.row').length") < 150.0);
    let (addresses, complaints) = browser.asked_for();
    assert!(addresses.iter().all(|address| address.starts_with("file://")), "{addresses:?}");
    assert!(complaints.is_empty(), "{complaints:?}");
}
