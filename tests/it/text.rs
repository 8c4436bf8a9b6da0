//! Plain text: untouched words, roles by a reader's eye, pages that stay small.

use expect_test::expect_file;
use nightclerk::base::{Format, Limits};
use nightclerk::extract::{Layer, Options, Role, extract};
use proptest::prelude::*;

use crate::layers::layers_hold;

#[test]
fn the_travel_policy_is_read_with_its_headings() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/inbox/travel-policy.txt");
    let bytes = std::fs::read(path).expect(path);
    let read = extract(&bytes, Format::Text, &Options::default(), &Limits::default());
    let document = read.unwrap_or_else(|refusal| panic!("{refusal}")).output;
    layers_hold(&document);
    expect_file!["golden/travel-policy.txt"].assert_eq(&document.paged_text(Layer::Model));
    let blocks = &document.pages[0].blocks;
    let headings = blocks.iter().filter(|block| matches!(block.role, Role::Heading(_))).count();
    assert_eq!(headings, 10, "the title, six sections and three subsections");
}

#[test]
fn formats_without_a_reader_are_refused_with_a_way_out() {
    for format in [Format::Doc, Format::Msg] {
        let refusal =
            extract(b"x", format, &Options::default(), &Limits::default()).expect_err("none");
        assert!(
            refusal.message.contains(format.word()) && refusal.message.contains("save")
                || refusal.message.contains("print"),
            "{refusal}"
        );
    }
}

proptest! {
    #[test]
    fn no_word_of_a_text_is_lost_and_the_layers_hold(text in "[ -~\\n\\täß]{0,600}", small in 64usize..4096) {
        let limits = Limits { page_bytes_max: small, ..Limits::default() };
        for format in [Format::Text, Format::Csv] {
            let Ok(read) = extract(text.as_bytes(), format, &Options::default(), &limits) else { continue };
            layers_hold(&read.output);
            if format == Format::Text {
                let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>().concat();
                prop_assert_eq!(words(&read.output.text(Layer::Verbatim)), words(&text));
            }
        }
    }

    #[test]
    fn damaged_containers_are_refused_or_read_and_never_panic(at in 0usize..6000, byte in any::<u8>(), cut in 0usize..6000) {
        for (name, format) in [("mutual-nda.docx", Format::Docx), ("assets.xlsx", Format::Xlsx)] {
            let path = format!("{}/fixtures/inbox/{name}", env!("CARGO_MANIFEST_DIR"));
            let mut bytes = std::fs::read(&path).expect("a fixture");
            let at = at % bytes.len();
            bytes[at] ^= byte;
            for bytes in [&bytes[..], &bytes[..cut % bytes.len()]] {
                if let Ok(read) = extract(bytes, format, &Options::default(), &Limits::default()) {
                    layers_hold(&read.output);
                }
            }
        }
    }
}
