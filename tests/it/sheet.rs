//! Workbooks: what is displayed is read, what is hidden is kept apart, and corners far apart cost nothing.

use expect_test::expect_file;
use nightclerk::base::{Format, Limits};
use nightclerk::extract::{Layer, Options, Role, extract};

use crate::layers::layers_hold;

fn fixture(name: &str) -> Vec<u8> {
    let path = format!("{}/fixtures/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn the_asset_register_reads_as_it_is_displayed() {
    let bytes = fixture("inbox/assets.xlsx");
    let read = extract(&bytes, Format::Xlsx, &Options::default(), &Limits::default());
    let read = read.unwrap_or_else(|refusal| panic!("{refusal}"));
    layers_hold(&read.output);
    expect_file!["golden/assets.txt"].assert_eq(&read.output.paged_text(Layer::Verbatim));
    let register = &read.output.pages[0];
    let header =
        register.blocks.iter().find(|block| block.role == Role::TableHeader).expect("a header");
    let range = header.verbatim.start as usize..header.verbatim.end as usize;
    assert!(register.verbatim[range].starts_with("No.\tDescription"));
    assert!(!register.model.contains("scrapped") && !register.model.contains("K-7731"));
    let why: Vec<&str> = register.hidden.iter().map(|hidden| &*hidden.why).collect();
    assert_eq!(why, ["hidden row 7", "hidden column I"]);
    assert_eq!(read.output.pages[2].hidden[0].why, "hidden sheet");
    assert_eq!(read.warnings.len(), 2);
}

#[test]
fn two_cells_in_far_corners_are_two_rows() {
    let bytes = fixture("damaged/huge-sheet.xlsx");
    let read = extract(&bytes, Format::Xlsx, &Options::default(), &Limits::default());
    let document = read.unwrap_or_else(|refusal| panic!("{refusal}")).output;
    assert_eq!(document.pages[0].verbatim, "1\n\t2");
}

#[test]
fn cells_beyond_the_limit_are_counted_in_a_warning() {
    let bytes = fixture("inbox/assets.xlsx");
    let limits = Limits { sheet_cells_max: 20, ..Limits::default() };
    let read = extract(&bytes, Format::Xlsx, &Options::default(), &limits).expect("a part");
    layers_hold(&read.output);
    let message = &read.warnings[0].message;
    assert!(message.contains("Register") && message.contains("the 20 of a sheet"), "{message}");
}
