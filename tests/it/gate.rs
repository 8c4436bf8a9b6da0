//! `[job.gate]`: a golden set that scores below its bar keeps the night from beginning.

use crate::night::{check_verifies, clerical_office, contract, run};
use crate::support::{Folder, told};

fn gated_office(name: &str, f1_min: &str) -> Folder {
    let folder = clerical_office(name, 1);
    folder.write("golden/documents/known.txt", contract(3));
    folder.write(
        "golden/labels.csv",
        "document,field,value\nknown.txt,agreement_date,4 March 2024\nknown.txt,parties,Tenant 3\n",
    );
    let jobs = folder.read("jobs.toml");
    folder.write(
        "jobs.toml",
        jobs + &format!(
            "\n[job.gate]\nlabels = \"golden/labels.csv\"\ndocuments = \"golden/documents\"\n\
             f1_min = {f1_min}\nfields = [\"agreement_date\"]\n"
        ),
    );
    folder
}

#[test]
fn a_night_begins_only_if_its_golden_set_scores() {
    let folder = gated_office("gate", "1.0");
    // What the tiny model says of the golden document is nothing that a person would.
    folder.write("golden/labels.csv", "document,field,value\nknown,agreement_date,never said\n");
    let asked = "answering the golden set";
    let first = run(&folder, &[]);
    assert_eq!(first.status.code(), Some(1), "{}", told(&first));
    assert!(told(&first).contains(asked), "{}", told(&first));
    assert!(told(&first).contains("the bar is 1.000"), "{}", told(&first));
    assert!(told(&first).contains("\nagreement_date  "), "{}", told(&first));
    let written = |name: &String| name.starts_with("out/contracts/");
    assert_eq!(folder.files().iter().find(|name| written(name)), None);
    check_verifies(&folder);

    let second = run(&folder, &[]);
    assert_eq!(second.status.code(), Some(1), "{}", told(&second));
    assert!(!told(&second).contains(asked), "it is known already: {}", told(&second));

    // Another bar needs no new answers; another golden set does.
    let jobs = folder.read("jobs.toml");
    folder.write("jobs.toml", jobs.replace("f1_min = 1.0", "f1_min = 0.0"));
    let third = run(&folder, &[]);
    assert!(matches!(third.status.code(), Some(0 | 3)), "{}", told(&third));
    assert!(!told(&third).contains(asked), "{}", told(&third));
    folder.write("golden/labels.csv", "document,field,value\nknown,agreement_date,whatever\n");
    let fourth = run(&folder, &["--redo", "all"]);
    assert!(told(&fourth).contains(asked), "{}", told(&fourth));
    check_verifies(&folder);
}

#[test]
fn a_golden_set_that_cannot_be_scored_is_said() {
    let folder = gated_office("gate-unusable", "0.5");
    folder.write("golden/labels.csv", "document,field,value\nother.txt,agreement_date,x\n");
    let output = run(&folder, &[]);
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    assert!(told(&output).contains("other.txt"), "{}", told(&output));
}
