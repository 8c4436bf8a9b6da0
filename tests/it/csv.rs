//! The ledger as an accountant's program writes it: Windows-1252, semicolons, decimal commas.

use expect_test::expect_file;
use nightclerk::base::{Format, Limits};
use nightclerk::extract::{Layer, Options, RefusalKind, Role, extract};

use crate::layers::layers_hold;

#[test]
fn the_ledger_keeps_its_umlauts_sums_and_columns() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/inbox/ledger.csv");
    let bytes = std::fs::read(path).expect(path);
    let read = extract(&bytes, Format::Csv, &Options::default(), &Limits::default());
    let read = read.unwrap_or_else(|refusal| panic!("{refusal}"));
    layers_hold(&read.output);
    expect_file!["golden/ledger.txt"].assert_eq(&read.output.paged_text(Layer::Verbatim));
    assert_eq!(read.output.properties["delimiter"], ";");
    assert_eq!(read.warnings[0].message, "the encoding was guessed to be windows-1252");
    let page = &read.output.pages[0];
    assert_eq!(page.blocks[0].role, Role::TableHeader);
    assert_eq!(page.blocks.len(), 61);
    assert!(page.verbatim.lines().all(|line| line.split('\t').count() == 7));
}

#[test]
fn a_picture_under_the_name_of_a_table_is_refused() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/damaged/mislabelled.csv");
    let bytes = std::fs::read(path).expect(path);
    let refusal =
        extract(&bytes, Format::Csv, &Options::default(), &Limits::default()).expect_err("a PNG");
    assert_eq!(refusal.kind, RefusalKind::Damaged);
}

#[test]
fn a_long_table_repeats_its_header_on_each_page() {
    let mut text = "id,name\n".to_owned();
    for id in 0..3000 {
        text += &format!("{id},Name of number {id}\n");
    }
    let limits = Limits { page_bytes_max: 32 << 10, ..Limits::default() };
    let read =
        extract(text.as_bytes(), Format::Csv, &Options::default(), &limits).expect("a table");
    layers_hold(&read.output);
    assert!(read.output.pages.len() > 3);
    for page in &read.output.pages {
        assert_eq!(page.blocks[0].role, Role::TableHeader);
        assert!(page.verbatim.len() <= limits.page_bytes_max);
    }
    let rows = read.output.pages.iter().map(|page| page.blocks.len() - 1).sum::<usize>();
    assert_eq!(rows, 3000);
}
