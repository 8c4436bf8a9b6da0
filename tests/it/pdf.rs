//! PDFs as a user meets them: the two of the inbox word for word, and the damaged ones.
//! The expected texts beside this file are re-made with `UPDATE_EXPECT=1` and then read by a person.

use std::fmt::Write as _;
use std::path::PathBuf;

use expect_test::expect_file;
use nightclerk::base::{Format, Limits, Warned};
use nightclerk::extract::{Document, Options, PageState, Refusal, RefusalKind, Role, extract};

fn bytes(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn read_with(name: &str, password: Option<&str>) -> Result<Warned<Document>, Refusal> {
    let password = password.map(str::to_owned);
    let options = Options { password, ..Options::default() };
    extract(&bytes(name), Format::Pdf, &options, &Limits::default())
}

fn read(name: &str) -> Warned<Document> {
    read_with(name, None).unwrap()
}

/// Pages, blocks with role and label, verbatim text, and warnings.
fn shown(read: &Warned<Document>) -> String {
    let mut out = String::new();
    for page in &read.output.pages {
        assert!(page.map.fits(&page.model, &page.verbatim), "page {}", page.number);
        writeln!(out, "==== page {} {:?}", page.label, page.state).unwrap();
        for block in &page.blocks {
            let text = &page.verbatim[block.verbatim.start as usize..block.verbatim.end as usize];
            let label = block.label.as_deref().unwrap_or("-");
            writeln!(out, "[{:?} {label}] {text}", block.role).unwrap();
        }
        for hidden in &page.hidden {
            writeln!(out, "hidden ({}): {}", hidden.why, hidden.text).unwrap();
        }
    }
    for warning in &read.warnings {
        writeln!(out, "warning: {warning}").unwrap();
    }
    out
}

fn states(read: &Warned<Document>) -> Vec<&PageState> {
    read.output.pages.iter().map(|page| &page.state).collect()
}

#[test]
fn a_contract_is_read_word_for_word_with_its_clause_numbers() {
    let read = read("inbox/services-agreement.pdf");
    expect_file!["./expect/services-agreement.txt"].assert_eq(&shown(&read));
    assert_eq!(read.output.properties["title"], "Master Services Agreement");
    assert_eq!(read.output.properties["author"], "Lindqvist & Rowe LLP");
}

#[test]
fn two_columns_and_a_table_come_in_reading_order() {
    let read = read("inbox/quarterly-report.pdf");
    expect_file!["./expect/quarterly-report.txt"].assert_eq(&shown(&read));
}

#[test]
fn a_lecture_reads_as_tex_printed_it() {
    let read = read("formats/lehrbuch.pdf");
    // Words and formulas as fixtures/make/lehrbuch.tex has them.
    let pages = read.output.pages.iter();
    let words: Vec<String> = pages.map(|page| words_of(&page.verbatim)).collect();
    for (page, expected) in [
        (0, "Größere Beweise sind ausführlich; wer flüchtig liest, überspringt sie."),
        (0, "„Effizienz“ ist ein Begriff für Étienne, Łukasz und Erdős."),
        (0, "x ↦ ϕ\u{304}(x) + z\u{303} ist stetig mit √2 ∉ Q und R ≇ R2.1 Für N ⊲ G gilt"),
        (0, "= lim n→∞ (n + 1)(x + 2) |n| |x| = { x2, falls x > 0, 0 sonst."),
        (0, "wie es bei Anmer- kungen oft so ist. 1"),
        (1, "also (∂F ∂x , ∂F ∂y ) ≠ 0, und das Bild X f π Y X/G g kommutiert. 2"),
        (2, "Im Jahr 1905 stand hier nichts. 3"),
    ] {
        assert!(words[page].contains(expected), "{expected}: {}", words[page]);
    }
    assert_eq!(read.warnings.len(), 0, "{:?}", read.warnings);
    // What stands beside its fraction is in one paragraph with it.
    let block = |page: usize, text: &str| {
        let page = &read.output.pages[page];
        let mut blocks = page
            .blocks
            .iter()
            .map(|block| &page.model[block.model.start as usize..block.model.end as usize]);
        blocks.find(|block| block.contains(text)).map(str::to_owned).unwrap_or_default()
    };
    assert!(block(0, "lim").contains("falls"), "{}", block(0, "lim"));
    assert!(!block(0, "lim").contains("Absatz"));
}

fn words_of(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn the_model_sees_joined_lines_and_a_place_leads_back_to_the_print() {
    let read = read("inbox/quarterly-report.pdf");
    let page = &read.output.pages[0];
    let quote = "Four large orders for pressure-independent control valves";
    let start = page.model.find(quote).unwrap() as u32;
    let place = page.map.to_verbatim(start..start + quote.len() as u32);
    let printed = &page.verbatim[place.start as usize..place.end as usize];
    assert_eq!(printed, "Four large orders for pressure-\nindependent control valves");
}

#[test]
fn blocks_have_their_place_on_the_page() {
    let read = read("inbox/services-agreement.pdf");
    for page in &read.output.pages {
        for block in &page.blocks {
            let [left, bottom, right, top] = block.place.unwrap();
            // A4 is 595 by 842 points.
            assert!(0.0 < left && left < right && right < 596.0, "{block:?}");
            assert!(0.0 < bottom && bottom < top && top < 843.0, "{block:?}");
        }
        assert_eq!(page.blocks.first().unwrap().role, Role::PageHeader);
        assert_eq!(page.blocks.last().unwrap().role, Role::PageFooter);
    }
}

#[test]
fn an_empty_user_password_is_tried_before_anybody_is_asked() {
    let plain = read("inbox/services-agreement.pdf");
    let locked = read("damaged/encrypted-empty-password.pdf");
    assert_eq!(locked.output.pages, plain.output.pages);
}

#[test]
fn a_locked_file_says_what_to_do_and_opens_with_either_password() {
    let refusal = read_with("damaged/encrypted-secret.pdf", None).unwrap_err();
    assert_eq!(refusal.kind, RefusalKind::Encrypted);
    assert!(refusal.message.contains("set `password` in the job"), "{refusal}");
    let wrong = read_with("damaged/encrypted-secret.pdf", Some("Fjord-1908")).unwrap_err();
    assert!(wrong.message.contains("does not open it"), "{wrong}");
    let plain = read("inbox/services-agreement.pdf");
    for password in ["Fjord-1907", "owner-Quay-44"] {
        let open = read_with("damaged/encrypted-secret.pdf", Some(password)).unwrap();
        assert_eq!(open.output.pages, plain.output.pages, "{password}");
    }
}

#[test]
fn of_a_broken_download_the_pages_that_are_there_are_read() {
    let read = read("damaged/truncated.pdf");
    let whole = self::read("inbox/services-agreement.pdf");
    assert_eq!(read.output.pages[0].verbatim, whole.output.pages[0].verbatim);
    assert_eq!(*states(&read)[0], PageState::Read);
    assert!(matches!(states(&read)[1], PageState::Skipped(why) if why.contains("content")));
    let warnings: Vec<String> = read.warnings.iter().map(ToString::to_string).collect();
    assert!(warnings[0].contains("the PDF is damaged"), "{warnings:?}");
    assert!(warnings[1].contains("says that it has 3 pages, and 2 could be found"), "{warnings:?}");
}

#[test]
fn what_is_beyond_repair_is_refused_in_words() {
    for (name, kind, part) in [
        ("damaged/truncated-hopeless.pdf", RefusalKind::Damaged, "beyond repair"),
        ("damaged/really-text.pdf", RefusalKind::Damaged, "does not start with %PDF-"),
        ("damaged/empty.pdf", RefusalKind::Empty, ""),
    ] {
        let refusal = read_with(name, None).unwrap_err();
        assert_eq!(refusal.kind, kind, "{name}");
        assert!(refusal.message.contains(part), "{name}: {refusal}");
    }
}

#[test]
fn a_scan_is_image_only_and_never_silently_empty() {
    assert_eq!(states(&read("damaged/image-only.pdf")), [&PageState::ImageOnly]);
}

#[test]
fn invisible_text_over_a_scan_is_its_text_and_marked() {
    for name in ["damaged/ocr-layer.pdf", "damaged/really-a-pdf.docx"] {
        let read = read(name);
        assert_eq!(states(&read), [&PageState::Read]);
        assert!(read.output.pages[0].verbatim.starts_with("Minutes of the meeting held on"));
        assert!(read.output.pages[0].hidden.is_empty());
        assert!(read.warnings[0].message.contains("ocr_layer"), "{:?}", read.warnings);
    }
}

#[test]
fn text_that_nobody_sees_is_kept_from_the_model_and_reported() {
    let read = read("damaged/hidden-text.pdf");
    let page = &read.output.pages[0];
    assert!(page.model.contains("your deposit of EUR 1,200"));
    for word in ["Ignore", "desk", "ants"] {
        assert!(!page.model.contains(word) && !page.verbatim.contains(word), "{word}");
    }
    let whys: Vec<&str> = page.hidden.iter().map(|hidden| hidden.why.as_str()).collect();
    assert_eq!(whys, ["invisible text mode", "smaller than 2 points", "outside of the page"]);
    assert_eq!(read.warnings.len(), 3);
}

#[test]
fn ten_thousand_nested_arrays_do_not_hide_the_page() {
    let read = read("damaged/nested-arrays.pdf");
    assert_eq!(read.output.pages[0].verbatim, "The text beside the bomb.");
}

#[test]
fn a_page_with_more_text_than_allowed_is_skipped_and_the_others_are_read() {
    let limits = Limits { page_bytes_max: 2700, ..Limits::default() };
    let bytes = bytes("inbox/services-agreement.pdf");
    let read = extract(&bytes, Format::Pdf, &Options::default(), &limits).unwrap();
    let skipped = |state: &&PageState| matches!(state, PageState::Skipped(_));
    let states = states(&read);
    assert!(states.iter().any(skipped) && !states.iter().all(skipped), "{states:?}");
    let limits = Limits { pages_max: 2, ..Limits::default() };
    let refusal = extract(&bytes, Format::Pdf, &Options::default(), &limits).unwrap_err();
    assert_eq!(refusal.kind, RefusalKind::Limit);
}
