//! PPTX: slides in their order with notes and comments, hidden ones apart.

use nightclerk::base::{Format, Limits, Warned};
use nightclerk::extract::{Document, Options, PageState, RefusalKind, RemarkKind, Role, extract};
use proptest::prelude::*;

use crate::layers::layers_hold;
use crate::odt::{fixture, zipped};

fn read(bytes: &[u8]) -> Warned<Document> {
    let read = extract(bytes, Format::Pptx, &Options::default(), &Limits::default());
    let read = read.unwrap_or_else(|refusal| panic!("{refusal}"));
    layers_hold(&read.output);
    read
}

const NAMESPACES: &str = "xmlns:x='http://schemas.openxmlformats.org/presentationml/2006/main' \
    xmlns:a='http://schemas.openxmlformats.org/drawingml/2006/main' \
    xmlns:r='http://schemas.openxmlformats.org/officeDocument/2006/relationships' \
    xmlns:mc='http://schemas.openxmlformats.org/markup-compatibility/2006'";

/// A presentation of slides with these attributes and shape trees, shown in reverse order of their parts.
fn deck(slides: &[(&str, &str)]) -> Vec<u8> {
    let package = "http://schemas.openxmlformats.org/package/2006/relationships";
    let kind = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/slide";
    let ids: String =
        (0..slides.len()).rev().map(|n| format!("<x:sldId id='{n}' r:id='r{n}'/>")).collect();
    let presentation = format!(
        "<x:presentation {NAMESPACES}><x:sldIdLst>{ids}</x:sldIdLst><x:sldSz cx='1000' cy='500'/></x:presentation>"
    );
    let relations: String = (0..slides.len())
        .map(|n| format!("<Relationship Id='r{n}' Type='{kind}' Target='slides/s{n}.xml'/>"))
        .collect();
    let relations = format!("<Relationships xmlns='{package}'>{relations}</Relationships>");
    let slides: Vec<(String, String)> = slides
        .iter()
        .enumerate()
        .map(|(n, (attributes, tree))| {
            let slide = format!("<x:sld {NAMESPACES} {attributes}><x:cSld><x:spTree>{tree}</x:spTree></x:cSld></x:sld>");
            (format!("ppt/slides/s{n}.xml"), slide)
        })
        .collect();
    let mut parts = vec![
        ("ppt/presentation.xml", presentation.as_str()),
        ("ppt/_rels/presentation.xml.rels", relations.as_str()),
    ];
    parts.extend(slides.iter().map(|(name, slide)| (name.as_str(), slide.as_str())));
    zipped(&parts)
}

fn shape(about: &str, properties: &str, paragraphs: &str) -> String {
    format!(
        "<x:sp><x:nvSpPr>{about}</x:nvSpPr><x:spPr>{properties}</x:spPr><x:txBody>{paragraphs}</x:txBody></x:sp>"
    )
}

fn p(properties: &str, run: &str, text: &str) -> String {
    format!("<a:p>{properties}<a:r>{run}<a:t>{text}</a:t></a:r></a:p>")
}

#[test]
fn a_deck_reads_slide_by_slide_with_notes_and_comments() {
    let read = read(&fixture("formats/deck.pptx")).output;
    let pages: Vec<(&str, &str)> =
        read.pages.iter().map(|page| (&*page.label, &*page.verbatim)).collect();
    assert_eq!(
        pages,
        [
            (
                "slide 1",
                "Harbour dredging: budget 2025\n\n• Total cost EUR 4.2 million\n\n\
              • of which sediment disposal EUR 1.1 million\n\n• Work ends on 30 September 2025\n\nMention the tide window."
            ),
            ("slide 2", "Contractors\nFirm\tLot\nNordvik Marine AS\t1 and 2"),
            ("slide 3", ""),
        ]
    );
    assert_eq!(read.pages[0].blocks.last().expect("blocks").role, Role::Note);
    let hidden = &read.pages[2].hidden[0];
    assert_eq!((&*hidden.text, &*hidden.why), ("Reserve price: EUR 4.9 million", "hidden slide"));
    let remark = &read.remarks[0];
    assert_eq!(
        (remark.kind, remark.page, &*remark.author, &*remark.text),
        (RemarkKind::Comment, 1, "Ines Marat", "Is the figure audited?")
    );
}

#[test]
fn shapes_are_read_in_order_with_titles_numbers_and_one_branch() {
    let item = |kind: &str, text: &str| {
        p(&format!("<a:pPr><a:buAutoNum type='{kind}'/></a:pPr>"), "", text)
    };
    let tree = shape(
        "",
        "",
        &(item("alphaLcParenR", "one") + &item("alphaLcParenR", "two") + &p("", "", "plain")),
    ) + &shape("<x:nvPr><x:ph type='title'/></x:nvPr>", "", &p("", "", "Title"))
        + "<mc:AlternateContent><mc:Choice Requires='z'>"
        + &shape("", "", &p("", "", "chosen"))
        + "</mc:Choice><mc:Fallback>"
        + &shape("", "", &p("", "", "fallback"))
        + "</mc:Fallback></mc:AlternateContent><x:grpSp>"
        + &shape(
            "",
            "",
            "<a:p><a:r><a:t>in a</a:t></a:r><a:br/><a:fld type='datetime'><a:t>group</a:t></a:fld><a:fld type='slidenum'><a:t>7</a:t></a:fld></a:p>",
        )
        + "</x:grpSp><x:graphicFrame><a:graphic><a:graphicData><a:tbl><a:tblPr firstRow='1'/><a:tr><a:tc gridSpan='2'><x:txBody>"
        + &p("", "", "A")
        + "</x:txBody></a:tc><a:tc hMerge='1'><x:txBody>"
        + &p("", "", "gone")
        + "</x:txBody></a:tc></a:tr></a:tbl></a:graphicData></a:graphic></x:graphicFrame><x:pic/>";
    let read = read(&deck(&[("", "<x:pic/>"), ("", &tree)]));
    let pages = &read.output.pages;
    assert_eq!(pages[0].verbatim, "Title\n\na) one\n\nb) two\n\nplain\n\nchosen\n\nin a\ngroup\nA");
    assert_eq!(pages[0].blocks[0].role, Role::Heading(1));
    assert_eq!(pages[1].state, PageState::ImageOnly);
}

#[test]
fn what_a_slide_does_not_show_is_kept_apart() {
    let white = "<a:rPr><a:solidFill><a:srgbClr val='FFFFFF'/></a:solidFill></a:rPr>";
    let on = |colour: &str| format!("<a:solidFill><a:srgbClr val='{colour}'/></a:solidFill>");
    let at = |x: i64| format!("<a:xfrm><a:off x='{x}' y='0'/><a:ext cx='100' cy='10'/></a:xfrm>");
    let tree = shape("<x:cNvPr hidden='1'/>", "", &p("", "", "one"))
        + &shape("", &at(1000), &p("", "", "two"))
        + &shape("", &at(-100), &p("", "", "three"))
        + &shape("", &on("ffffff"), &p("", white, "four"))
        + &shape("", &on("000080"), &p("", white, "seen"))
        + &shape(
            "",
            &at(-50),
            &(p("", "<a:rPr sz='100'/>", "five") + &p("", "<a:rPr><a:noFill/></a:rPr>", "six")),
        );
    let read = read(&deck(&[("", &tree)])).output;
    assert_eq!(read.pages[0].verbatim, "seen");
    let hidden: Vec<_> = read.pages[0].hidden.iter().map(|h| (&*h.text, &*h.why)).collect();
    assert_eq!(
        hidden,
        [
            ("one", "hidden shape"),
            ("two", "off the slide"),
            ("three", "off the slide"),
            ("four", "colour of its ground"),
            ("five", "under 2 pt"),
            ("six", "letters without fill"),
        ]
    );
}

#[test]
fn hostile_and_broken_decks_end_within_limits() {
    let refuse = |bytes: &[u8]| {
        extract(bytes, Format::Pptx, &Options::default(), &Limits::default())
            .expect_err("hostile")
            .kind
    };
    let deep = "<x:grpSp>".repeat(300) + &"</x:grpSp>".repeat(300);
    assert_eq!(refuse(&deck(&[("", &deep)])), RefusalKind::Limit);
    assert_eq!(refuse(&deck(&[("", "")])), RefusalKind::Empty);
    assert_eq!(refuse(&zipped(&[("ppt/x.xml", "<a/>")])), RefusalKind::Damaged);
    // The same slide named over and over ends at the page limit.
    let limits = Limits { pages_max: 3, ..Limits::default() };
    let many: Vec<(&str, String)> = (0..10).map(|_| ("", shape("", "", &p("", "", "x")))).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(a, b)| (*a, b.as_str())).collect();
    let read = extract(&deck(&many), Format::Pptx, &Options::default(), &limits).expect("a part");
    assert_eq!(read.output.pages.len(), 3);
    assert!(read.warnings.iter().any(|w| w.message.contains("more slides")));
}

proptest! {
    #[test]
    fn damaged_files_are_refused_or_read(at in 0usize..50_000, byte in any::<u8>(), cut in 0usize..50_000) {
        let mut bytes = fixture("formats/deck.pptx");
        let at = at % bytes.len();
        bytes[at] ^= byte;
        for bytes in [&bytes[..], &bytes[..cut % bytes.len()]] {
            if let Ok(read) = extract(bytes, Format::Pptx, &Options::default(), &Limits::default()) {
                layers_hold(&read.output);
            }
        }
    }
}
