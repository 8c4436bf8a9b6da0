//! Power cuts, kills and full disks at every operation of a small night.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use nightclerk::audit::{Expectations, Ledger, Verdict, verify};
use nightclerk::base::DocId;

use crate::audit_disk::{Fault, FaultDisk, IMAGES, Image, Scratch, files_below};
use crate::audit_night::{DOCS, run, state};

/// Everything that a person finds: path → bytes, without the state folder and the closing facts.
fn outputs(output: &Path) -> BTreeMap<String, Vec<u8>> {
    let below = |path: &Path| path.strip_prefix(output).unwrap().to_str().unwrap().to_string();
    files_below(output)
        .into_iter()
        .map(|path| (below(&path), fs::read(path).unwrap()))
        .filter(|(path, _)| !path.starts_with(".nightclerk/") && path != "last-run.json")
        .collect()
}

fn undisturbed() -> (BTreeMap<String, Vec<u8>>, u64) {
    let scratch = Scratch::new("undisturbed");
    let disk = FaultDisk::new(&scratch.0, None);
    run(Arc::new(disk.clone()), &scratch.0, &DOCS, &mut Vec::new()).unwrap();
    (outputs(&scratch.0), disk.operations())
}

/// After a crash and before any repair: what the log calls done is there, whole; nothing that was
/// said to be done is missing; nothing looks like tampering.
fn check_crashed(output: &Path, acknowledged: &[DocId], case: &str) {
    let ledger = Ledger::read(&state(output)).unwrap_or_else(|e| panic!("{case}: {e}"));
    for (doc, known) in ledger.docs() {
        if let Some(done) = &known.done {
            assert!(done.is_intact(output), "{case}: {} is logged and not there", known.path);
        }
        assert!(
            known.done.is_some() || !acknowledged.contains(&doc),
            "{case}: {} lost",
            known.path
        );
    }
    assert!(acknowledged.iter().all(|doc| ledger.doc(doc).is_some()), "{case}: a document lost");
}

/// After the next run: as if nothing had happened.
fn check_repaired(output: &Path, expected: &BTreeMap<String, Vec<u8>>, case: &str) {
    assert!(outputs(output) == *expected, "{case}: outputs differ");
    let report = verify(&state(output), output, &Expectations::default()).unwrap();
    assert!(report.is_sound(), "{case}: {report:?}");
    let stray = files_below(output).into_iter().find(|path| {
        let name = path.to_str().unwrap();
        name.ends_with("-tmp") || name.ends_with("unfinished")
    });
    assert_eq!(stray, None, "{case}");
}

/// Runs into `fault` in `from`, and gives what a restart finds, in a folder of its own.
fn crash(from: Scratch, number: u64, fault: Fault, image: Image, case: &str) -> Scratch {
    let disk = FaultDisk::new(&from.0, Some((number, fault)));
    let mut acknowledged = Vec::new();
    let ended = run(Arc::new(disk.clone()), &from.0, &DOCS, &mut acknowledged);
    assert!(ended.is_err() || disk.operations() <= number, "{case}: the failure went unnoticed");
    let target = Scratch::new("image");
    disk.image(image, &from.0, &target.0);
    check_crashed(&target.0, &acknowledged, case);
    target
}

#[test]
fn a_crash_at_any_operation_leaves_not_done_or_done_and_proven() {
    let (expected, operations) = undisturbed();
    assert!(operations > 40, "{operations} operations");
    for number in 0..operations {
        for fault in [Fault::Off, Fault::Half].into_iter().chain(Fault::PASSING) {
            let passing = Fault::PASSING.contains(&fault);
            for image in IMAGES.into_iter().filter(|image| !passing || *image == Image::Live) {
                let case = format!("{fault:?} at {number}, {image:?}");
                let target = crash(Scratch::new("crash"), number, fault, image, &case);
                let disk = FaultDisk::new(&target.0, None);
                run(Arc::new(disk), &target.0, &DOCS, &mut Vec::new())
                    .unwrap_or_else(|e| panic!("{case}: {e}"));
                check_repaired(&target.0, &expected, &case);
            }
        }
    }
}

#[test]
fn a_crash_during_the_repair_of_a_crash_is_repaired() {
    let (expected, operations) = undisturbed();
    for first in (0..operations).step_by(16) {
        for second in 0..16 {
            for (fault, image) in [(Fault::Half, Image::Live), (Fault::Off, Image::Synced)] {
                let case = format!("{image:?} at {first}, then at {second}");
                let target = crash(Scratch::new("crash"), first, Fault::Half, Image::Live, &case);
                let target = crash(target, second, fault, image, &case);
                let disk = FaultDisk::new(&target.0, None);
                run(Arc::new(disk), &target.0, &DOCS, &mut Vec::new())
                    .unwrap_or_else(|e| panic!("{case}: {e}"));
                check_repaired(&target.0, &expected, &case);
            }
        }
    }
}

#[test]
fn a_log_cut_at_any_byte_of_its_last_entries_is_repaired_by_the_next_run() {
    cut_log(501);
}

#[test]
#[ignore = "minutes: every byte"]
fn a_log_cut_at_every_byte_is_repaired_by_the_next_run() {
    cut_log(1);
}

/// Cuts a log at every `step`-th byte and at the last sixty.
fn cut_log(step: usize) {
    let (expected, _) = undisturbed();
    // A night that was killed before it could sign its end: the last checkpoint is that of its start.
    let whole = Scratch::new("whole");
    let stop = (1..).map(|number| {
        let target = Scratch::new("stopped");
        let disk = FaultDisk::new(&target.0, Some((number, Fault::Off)));
        let ended = run(Arc::new(disk), &target.0, &DOCS, &mut Vec::new());
        (target, ended)
    });
    let entries = |output: &Path| {
        let segment = fs::read(state(output).join("log/000001.jsonl")).unwrap_or_default();
        segment.iter().filter(|&&byte| byte == b'\n').count()
    };
    let (stopped, _) = stop
        .take_while(|(_, ended)| ended.is_err())
        .filter(|(target, _)| entries(&target.0) == 9)
        .last()
        .unwrap();
    FaultDisk::new(&stopped.0, None).image(Image::Live, &stopped.0, &whole.0);
    let segment = state(&whole.0).join("log/000001.jsonl");
    let bytes = fs::read(&segment).unwrap();
    let ends = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
    let signed = ends.map(|(at, _)| at + 1).nth(1).unwrap();
    for length in (1..bytes.len()).step_by(step).chain(bytes.len() - 60..bytes.len()) {
        let case = format!("cut at {length}");
        let target = Scratch::new("cut");
        FaultDisk::new(&whole.0, None).image(Image::Live, &whole.0, &target.0);
        fs::write(state(&target.0).join("log/000001.jsonl"), &bytes[..length]).unwrap();
        let report = verify(&state(&target.0), &target.0, &Expectations::default()).unwrap();
        let disk = FaultDisk::new(&target.0, None);
        if length < signed {
            // What was signed cannot be missing: that is no crash.
            assert_eq!(report.verdict, Verdict::Broken, "{case}: {report:?}");
            assert!(run(Arc::new(disk), &target.0, &DOCS, &mut Vec::new()).is_err(), "{case}");
            assert_eq!(fs::read(state(&target.0).join("log/000001.jsonl")).unwrap().len(), length);
            continue;
        }
        assert_eq!(report.verdict, Verdict::Unfinished, "{case}: {report:?}");
        assert_eq!(report.torn.is_some(), length > 0 && bytes[length - 1] != b'\n', "{case}");
        run(Arc::new(disk), &target.0, &DOCS, &mut Vec::new())
            .unwrap_or_else(|e| panic!("{case}: {e}"));
        check_repaired(&target.0, &expected, &case);
    }
}
