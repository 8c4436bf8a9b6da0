//! What must hold for every document and every budget, and the cuts that a reader would make.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::base::{Format, TokenCounter};
use crate::extract::{Block, OffsetMap, Page, PageState, Role};

/// Tokens of at most four bytes that never cross white space; blanks count with the word after them.
pub(crate) struct ToyCounter;

impl TokenCounter for ToyCounter {
    fn count(&self, text: &str) -> usize {
        text.split_whitespace().map(|word| word.len().div_ceil(4)).sum::<usize>()
            + text.matches('\n').count()
    }
}

/// A page whose model layer joins `blocks` by line ends, and whose verbatim layer has each "ff" as
/// the one letter "ﬀ".
fn page(number: u32, blocks: &[(Role, &str)]) -> Page {
    let (mut model, mut verbatim) = (String::new(), String::new());
    let mut map = OffsetMap::default();
    let mut ranges = Vec::new();
    for &(role, text) in blocks {
        let start = (model.len() as u32, verbatim.len() as u32);
        for (index, part) in text.split("ff").enumerate() {
            if index > 0 {
                model.push_str("ff");
                verbatim.push('ﬀ');
                map.push_replaced(2, 3);
            }
            model.push_str(part);
            verbatim.push_str(part);
            map.push_equal(part.len());
        }
        ranges.push(Block {
            role,
            verbatim: start.1..verbatim.len() as u32,
            model: start.0..model.len() as u32,
            label: None,
            clause: None,
            place: None,
        });
        model.push('\n');
        verbatim.push('\n');
        map.push_equal(1);
    }
    assert!(map.fits(&model, &verbatim));
    Page {
        number,
        label: number.to_string(),
        state: PageState::Read,
        verbatim,
        model,
        map,
        blocks: ranges,
        hidden: Vec::new(),
        facts: crate::extract::PageFacts::default(),
        picture: None,
    }
}

pub(crate) fn document(pages: &[&[(Role, &str)]]) -> Document {
    let pages = pages.iter().zip(1..).map(|(blocks, number)| page(number, blocks)).collect();
    Document { format: Format::Pdf, pages, properties: BTreeMap::new(), remarks: Vec::new() }
}

fn texts(chunked: &Chunked) -> Vec<&str> {
    chunked.chunks.iter().map(|chunk| chunk.text.as_str()).collect()
}

#[test]
fn a_document_within_the_budget_is_one_chunk() {
    let document = document(&[
        &[(Role::Heading(1), "Lease"), (Role::Paragraph, "The tenant shall pay")],
        &[(Role::Paragraph, "rent each month. It is due.")],
    ]);
    let chunked = split(&document, 100, &ToyCounter);
    assert_eq!(texts(&chunked), ["Lease\nThe tenant shall pay\nrent each month. It is due.\n"]);
    assert_eq!(chunked.chunks[0].pages(), Some((1, 2)));
    assert_eq!(split(&Document { pages: Vec::new(), ..document }, 100, &ToyCounter).chunks, []);
}

#[test]
fn a_heading_stays_with_what_follows_it() {
    let document = document(&[&[
        (Role::Paragraph, "one two six ten one two six ten."),
        (Role::Heading(2), "Term"),
        (Role::Paragraph, "one two six ten one two six ten."),
        (Role::Paragraph, "last one."),
    ]]);
    let chunked = split(&document, 12, &ToyCounter);
    assert_eq!(
        texts(&chunked),
        [
            "one two six ten one two six ten.\n",
            "Term\none two six ten one two six ten.\n",
            "last one.\n"
        ]
    );
}

#[test]
fn rows_repeat_the_header_of_their_table() {
    let row = |n: usize| format!("r{n} | 100 | x");
    let rows: Vec<String> = (0..6).map(row).collect();
    let mut blocks = vec![(Role::TableHeader, "id | sum | note")];
    blocks.extend(rows.iter().map(|row| (Role::TableRow, row.as_str())));
    let document = document(&[&blocks]);
    let chunked = split(&document, 28, &ToyCounter);
    assert!(chunked.chunks.len() > 1);
    for chunk in &chunked.chunks {
        assert!(chunk.text.starts_with("id | sum | note\n"), "{:?}", chunk.text);
    }
    let second = &chunked.chunks[1];
    assert_eq!(&second.text[..second.repeated], "id | sum | note\n");
    let span = second.locate(&document, 0..2)[0];
    assert_eq!((span.page, span.start, span.end), (1, 0, 2), "a repeated header has its place too");
}

#[test]
fn a_cut_paragraph_repeats_its_last_sentence() {
    let text = "Aaa bbb. ".repeat(12) + "End of it.";
    let document = document(&[&[(Role::Paragraph, &text)]]);
    let chunked = split(&document, 20, &ToyCounter);
    assert!(chunked.chunks.len() > 1);
    assert_eq!(chunked.chunks[0].repeated, 0);
    for chunk in &chunked.chunks[1..] {
        assert_eq!(&chunk.text[..chunk.repeated], "Aaa bbb. ");
    }
}

#[test]
fn a_running_header_is_shown_once_and_listed_after_that() {
    let pages: [&[(Role, &str)]; 2] = [
        &[(Role::PageHeader, "Lease, page 1"), (Role::Paragraph, "The tenant off")],
        &[(Role::PageHeader, "Lease, page 2"), (Role::Paragraph, "ers rent.")],
    ];
    let document = document(&pages);
    let chunked = split(&document, 100, &ToyCounter);
    assert_eq!(texts(&chunked), ["Lease, page 1\nThe tenant off\ners rent.\n"]);
    assert_eq!(chunked.left_out.len(), 1);
    assert_eq!((chunked.left_out[0].page, chunked.left_out[0].model.clone()), (2, 0..14));
}

#[test]
fn a_word_longer_than_the_budget_is_cut_between_characters() {
    let text = "é".repeat(100);
    let document = document(&[&[(Role::Paragraph, &text)]]);
    let chunked = split(&document, 7, &ToyCounter);
    check(&document, &chunked, 7);
}

/// Every byte once, every budget held, every place found again.
fn check(document: &Document, chunked: &Chunked, budget: usize) {
    let mut covered: Vec<Vec<u32>> =
        document.pages.iter().map(|page| vec![0; page.model.len()]).collect();
    for left in &chunked.left_out {
        let page = &mut covered[left.page as usize - 1];
        page[left.model.start as usize..left.model.end as usize].iter_mut().for_each(|n| *n += 1);
    }
    for (chunk, number) in chunked.chunks.iter().zip(1..) {
        assert_eq!(chunk.number, number);
        assert_eq!(chunk.tokens, ToyCounter.count(&chunk.text));
        let alone = chunk.text.chars().count() == 1;
        assert!(chunk.tokens <= budget || alone, "{} tokens: {:?}", chunk.tokens, chunk.text);
        let mut end = 0;
        for piece in &chunk.pieces {
            assert!(piece.chunk.start >= end, "pieces ascend");
            end = piece.chunk.end;
            let page = &document.pages[piece.page as usize - 1];
            let start = piece.model_start as usize;
            let model = start..start + piece.chunk.len();
            assert_eq!(chunk.text[piece.chunk.clone()], page.model[model.clone()]);
            if piece.chunk.start >= chunk.repeated {
                covered[piece.page as usize - 1][model].iter_mut().for_each(|n| *n += 1);
            } else {
                assert!(piece.chunk.end <= chunk.repeated, "a piece is repeated or it is not");
            }
        }
    }
    for page in covered {
        assert!(page.iter().all(|&n| n == 1), "each byte once: {page:?}");
    }
}

fn blocks() -> impl Strategy<Value = Vec<Vec<(Role, String)>>> {
    let role = prop_oneof![
        4 => Just(Role::Paragraph),
        2 => Just(Role::Heading(1)),
        1 => Just(Role::Heading(3)),
        1 => Just(Role::ListItem),
        3 => Just(Role::TableRow),
        1 => Just(Role::TableHeader),
        1 => Just(Role::PageHeader),
        1 => Just(Role::PageFooter),
        1 => Just(Role::Note),
    ];
    let text = prop_oneof![
        3 => "[a-d ]{0,12}",
        3 => "([A-Z][a-f]{1,9}[,.;]? ){1,40}",
        1 => "[é漢ff \n.]{1,60}",
        1 => "[a-f]{1,200}",
    ];
    prop::collection::vec(prop::collection::vec((role, text), 0..8), 0..5)
}

proptest! {
    #[test]
    fn every_byte_is_in_one_chunk_within_the_budget(pages in blocks(), budget in 1usize..60) {
        let pages: Vec<Vec<(Role, &str)>> = pages
            .iter()
            .map(|blocks| blocks.iter().map(|(role, text)| (*role, text.as_str())).collect())
            .collect();
        let pages: Vec<&[(Role, &str)]> = pages.iter().map(Vec::as_slice).collect();
        let document = document(&pages);
        let chunked = split(&document, budget, &ToyCounter);
        check(&document, &chunked, budget);
        prop_assert_eq!(&chunked, &split(&document, budget, &ToyCounter));
    }

    #[test]
    fn a_located_passage_is_the_chunks_text(
        pages in blocks(), budget in 4usize..60, from in 0.0f64..1.0, len in 1usize..40,
    ) {
        let pages: Vec<Vec<(Role, &str)>> = pages
            .iter()
            .map(|blocks| blocks.iter().map(|(role, text)| (*role, text.as_str())).collect())
            .collect();
        let pages: Vec<&[(Role, &str)]> = pages.iter().map(Vec::as_slice).collect();
        let document = document(&pages);
        for chunk in split(&document, budget, &ToyCounter).chunks {
            let start = chunk.text.floor_char_boundary((chunk.text.len() as f64 * from) as usize);
            let end = chunk.text.ceil_char_boundary((start + len).min(chunk.text.len()));
            let spans = chunk.locate(&document, start..end);
            let mut found = String::new();
            for span in &spans {
                let page = &document.pages[span.page as usize - 1];
                found += &page.verbatim[span.start as usize..span.end as usize];
            }
            let bare = |text: &str| -> String {
                text.replace('ﬀ', "ff").chars().filter(|c| !c.is_whitespace()).collect()
            };
            // A touched ligature counts whole, so the passage may hold a letter more at each end.
            prop_assert!(bare(&found).contains(&bare(&chunk.text[start..end])));
            prop_assert!(bare(&found).len() <= bare(&chunk.text[start..end]).len() + 2 * spans.len());
        }
    }
}
