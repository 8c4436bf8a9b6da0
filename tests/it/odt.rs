//! ODT: the same text as the same document in Word's format, hidden text apart, both views of changes.

use std::io::Write;

use nightclerk::base::{Format, Limits, Warned};
use nightclerk::extract::{Document, Options, RefusalKind, RemarkKind, Role, View, extract};
use proptest::prelude::*;

use crate::layers::layers_hold;

pub fn fixture(name: &str) -> Vec<u8> {
    let path = format!("{}/fixtures/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn read_as(bytes: &[u8], view: View) -> Warned<Document> {
    let options = Options { view, ..Options::default() };
    let read = extract(bytes, Format::Odt, &options, &Limits::default());
    let read = read.unwrap_or_else(|refusal| panic!("{refusal}"));
    layers_hold(&read.output);
    read
}

pub fn zipped(entries: &[(&str, &str)]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, content) in entries {
        zip.start_file(*name, zip::write::SimpleFileOptions::default()).expect("in memory");
        zip.write_all(content.as_bytes()).expect("in memory");
    }
    zip.finish().expect("in memory").into_inner()
}

const NAMESPACES: &str = "xmlns:office='urn:oasis:names:tc:opendocument:xmlns:office:1.0' \
    xmlns:text='urn:oasis:names:tc:opendocument:xmlns:text:1.0' \
    xmlns:table='urn:oasis:names:tc:opendocument:xmlns:table:1.0' \
    xmlns:style='urn:oasis:names:tc:opendocument:xmlns:style:1.0' \
    xmlns:fo='urn:oasis:names:tc:opendocument:xmlns:xsl-fo-compatible:1.0' \
    xmlns:draw='urn:oasis:names:tc:opendocument:xmlns:drawing:1.0' \
    xmlns:dc='http://purl.org/dc/elements/1.1/'";

fn odt(styles: &str, body: &str) -> Vec<u8> {
    let content = format!(
        "<office:document-content {NAMESPACES}><office:automatic-styles>{styles}</office:automatic-styles>\
         <office:body><office:text>{body}</office:text></office:body></office:document-content>"
    );
    zipped(&[("mimetype", "application/vnd.oasis.opendocument.text"), ("content.xml", &content)])
}

fn verbatim(styles: &str, body: &str) -> String {
    read_as(&odt(styles, body), View::Accepted).output.pages[0].verbatim.clone()
}

#[test]
fn the_agreement_reads_as_it_does_in_words_format() {
    for view in [View::Accepted, View::Original] {
        let odt = read_as(&fixture("formats/mutual-nda.odt"), view).output;
        let options = Options { view, ..Options::default() };
        let docx = fixture("inbox/mutual-nda.docx");
        let docx =
            extract(&docx, Format::Docx, &options, &Limits::default()).expect("a fixture").output;
        let blocks = |document: &Document| -> Vec<(Role, Option<String>, String)> {
            let page = &document.pages[0];
            let blocks = page.blocks.iter().map(|block| {
                let text = &page.model[block.model.start as usize..block.model.end as usize];
                (block.role, block.label.clone(), text.to_owned())
            });
            blocks.collect()
        };
        let (found, expected) = (blocks(&odt), blocks(&docx));
        for (found, expected) in found.iter().zip(&expected) {
            let role =
                |role: Role| if matches!(role, Role::Heading(_)) { Role::ListItem } else { role };
            // ODF has no legal style: the schedule's I.1 is what LibreOffice prints for Word's 1.1.
            let arabic = [("I.", "1."), ("II.", "2.")].into_iter().find_map(|(roman, digit)| {
                Some((found.0, expected.1.clone(), digit.to_owned() + found.2.strip_prefix(roman)?))
            });
            let found = arabic.unwrap_or_else(|| found.clone());
            assert_eq!(found.1, expected.1, "{found:?}");
            assert_eq!(found.2, expected.2);
            // LibreOffice drops the outline level of numbered clauses, and Word's title is no heading.
            if expected.2.starts_with(char::is_numeric) {
                assert_eq!(role(found.0), role(expected.0), "{found:?}");
            }
        }
        assert_eq!(found.len(), expected.len());
        assert_eq!(odt.pages[0].hidden.len(), 1);
        assert_eq!(odt.pages[0].hidden[0].text, docx.pages[0].hidden[0].text);
        assert_eq!(odt.pages[1].verbatim, docx.pages[1].verbatim, "the footnote");
        assert_eq!(odt.pages[2].verbatim, docx.pages[2].verbatim, "the footer");
        let facts = |document: &Document| {
            let mut facts: Vec<_> = document
                .remarks
                .iter()
                .map(|r| {
                    (
                        r.kind as u8,
                        r.author.clone(),
                        r.text.replace('¶', "").split_whitespace().collect::<String>(),
                    )
                })
                .collect();
            facts.sort();
            facts
        };
        assert_eq!(facts(&odt), facts(&docx));
    }
}

#[test]
fn hidden_text_is_kept_apart_with_its_reason() {
    let styles = "<style:style style:name='H' style:family='text'><style:text-properties text:display='none'/></style:style>\
        <style:style style:name='K' style:family='text' style:parent-style-name='H'/>\
        <style:style style:name='W' style:family='paragraph'><style:text-properties fo:color='#ffffff'/></style:style>\
        <style:style style:name='B' style:family='paragraph' style:parent-style-name='W'><style:paragraph-properties fo:background-color='#000000'/></style:style>\
        <style:style style:name='S' style:family='text'><style:text-properties fo:font-size='1pt'/></style:style>";
    let body = "<text:p>Seen<text:span text:style-name='K'>one</text:span></text:p>\
        <text:p text:style-name='W'>two</text:p><text:p text:style-name='B'>on black</text:p>\
        <text:p><text:span text:style-name='S'>three</text:span></text:p>\
        <text:section text:display='none'><text:p>four</text:p></text:section>\
        <text:p><text:hidden-text text:is-hidden='true' text:string-value='five'/></text:p>\
        <text:p>six<text:hidden-paragraph text:is-hidden='true'/></text:p>";
    let read = read_as(&odt(styles, body), View::Accepted).output;
    assert_eq!(read.pages[0].verbatim, "Seen\n\non black");
    let hidden: Vec<_> = read.pages[0].hidden.iter().map(|h| (&*h.text, &*h.why)).collect();
    assert_eq!(
        hidden,
        [
            ("one", "text:display none"),
            ("two", "white on white"),
            ("three", "under 2 pt"),
            ("four", "hidden section"),
            ("five", "hidden text field"),
            ("six", "hidden paragraph"),
        ]
    );
}

#[test]
fn lists_go_on_restart_and_show_their_levels() {
    let styles = "<text:list-style style:name='L'>\
        <text:list-level-style-number text:level='1' style:num-format='1' style:num-suffix='.'/>\
        <text:list-level-style-number text:level='2' style:num-format='a' text:display-levels='2' style:num-suffix=')'/>\
        <text:list-level-style-bullet text:level='3' text:bullet-char='\u{f0b7}'/></text:list-style>";
    let item = |inside: &str| format!("<text:list-item>{inside}</text:list-item>");
    let p = |text: &str| format!("<text:p>{text}</text:p>");
    let list = |attributes: &str, items: &str| {
        format!("<text:list text:style-name='L' {attributes}>{items}</text:list>")
    };
    let body = list(
        "xml:id='x'",
        &(item(
            &(p("A")
                + &p("B")
                + &list("", &(item(&p("C")) + &item(&(p("D") + &list("", &item(&p("E")))))))),
        ) + &item(&p("F"))),
    ) + &list("", &item(&p("G")))
        + &list("text:continue-list='x'", &item(&list("", &item(&p("H")))))
        + &list(
            "text:continue-numbering='true'",
            &(item(&p("I"))
                + "<text:list-header><text:p>J</text:p></text:list-header><text:list-item text:start-value='9'><text:p>K</text:p></text:list-item>"),
        );
    assert_eq!(
        verbatim(styles, &body).split("\n\n").collect::<Vec<_>>(),
        ["1. A", "B", "1.a) C", "1.b) D", "• E", "2. F", "1. G", "2.a) H", "3. I", "J", "9. K"]
    );
}

#[test]
fn tables_boxes_notes_and_spaces_are_read() {
    let body = "<text:p>a<text:s text:c='3'/>b <text:span> c</text:span><text:tab/>d<text:line-break/>e</text:p>\
        <table:table><table:table-header-rows><table:table-row><table:table-cell><text:p>X</text:p></table:table-cell><table:table-cell><text:p>Y</text:p></table:table-cell></table:table-row></table:table-header-rows>\
        <table:table-row><table:table-cell table:number-columns-spanned='2'><text:p>1</text:p><text:p>2</text:p></table:table-cell><table:covered-table-cell/></table:table-row></table:table>\
        <text:p>f<draw:frame><draw:text-box><text:p>boxed</text:p></draw:text-box></draw:frame><text:note text:note-class='endnote'><text:note-citation>i</text:note-citation><text:note-body><text:p>noted</text:p></text:note-body></text:note></text:p>\
        <text:p><draw:frame><draw:image/></draw:frame></text:p>";
    let read = read_as(&odt("", body), View::Accepted);
    assert_eq!(read.output.pages[0].verbatim, "a   b c\td\ne\nX\tY\n1\n2\n\nf[i]\n\nboxed");
    assert_eq!(read.output.pages[0].blocks[1].role, Role::TableHeader);
    assert_eq!(
        (&*read.output.pages[1].label, &*read.output.pages[1].verbatim),
        ("endnotes", "[i] noted")
    );
    assert!(read.warnings[0].message.starts_with("1 picture"));
}

#[test]
fn an_inserted_paragraph_mark_is_not_in_the_original() {
    let body = "<text:tracked-changes><text:changed-region text:id='c'><text:insertion><office:change-info><dc:creator>A</dc:creator><dc:date>2024</dc:date></office:change-info></text:insertion></text:changed-region></text:tracked-changes>\
        <text:p>one<text:change-start text:change-id='c'/> two</text:p><text:p>three<text:change-end text:change-id='c'/> four</text:p>";
    let read = read_as(&odt("", body), View::Original).output;
    assert_eq!(read.pages[0].verbatim, "one four");
    assert_eq!((read.remarks[0].kind, &*read.remarks[0].text), (RemarkKind::Insertion, "twothree"));
    assert_eq!(verbatim("", body), "one two\n\nthree four");
    assert_eq!(
        read_as(&odt("", body), View::Redline).output.pages[0].verbatim,
        "one{++ two¶++}{>>A, 2024<<}\n\n{++three++}{>>A, 2024<<} four"
    );
}

#[test]
fn a_redline_shows_deleted_text_and_comments_where_they_stand() {
    let about = "<office:change-info><dc:creator>A</dc:creator><dc:date>2024</dc:date></office:change-info>";
    let body = format!(
        "<text:tracked-changes><text:changed-region text:id='c'><text:deletion>{about}<text:p>old</text:p><text:p>line </text:p></text:deletion></text:changed-region></text:tracked-changes>\
         <text:p>an <text:change text:change-id='c'/>end, <office:annotation office:name='n'><dc:creator>B</dc:creator><text:p>Sure?</text:p></office:annotation>right<office:annotation-end office:name='n'/>.</text:p>"
    );
    let read = read_as(&odt("", &body), View::Redline).output;
    assert_eq!(
        read.pages[0].verbatim,
        "an {--old¶\nline --}{>>A, 2024<<}end, right{>>B on \"right\": Sure?<<}."
    );
    assert_eq!(verbatim("", &body), "an end, right.");
    let comment = &read.remarks[1];
    assert_eq!((&*comment.author, &*comment.anchor), ("B", "right"));
}

#[test]
fn hostile_files_are_refused_or_cut_within_limits() {
    let refuse = |bytes: &[u8]| {
        extract(bytes, Format::Odt, &Options::default(), &Limits::default())
            .expect_err("hostile")
            .kind
    };
    let deep = format!("{}x{}", "<text:span>".repeat(300), "</text:span>".repeat(300));
    assert_eq!(refuse(&odt("", &format!("<text:p>{deep}</text:p>"))), RefusalKind::Limit);
    assert_eq!(refuse(&odt("", "")), RefusalKind::Empty);
    assert_eq!(refuse(&zipped(&[("content.xml", "<a/>")])), RefusalKind::Damaged);
    assert_eq!(
        refuse(&zipped(&[("META-INF/manifest.xml", "<m:encryption-data/>"), ("content.xml", "x")])),
        RefusalKind::Encrypted
    );
    assert_eq!(refuse(&fixture("formats/mutual-nda.odt")[..20_000]), RefusalKind::Damaged);
    // 1024 rows of 1024 cells of a text, in a loop of styles.
    let styles = "<style:style style:name='A' style:family='paragraph' style:parent-style-name='B'/>\
        <style:style style:name='B' style:family='paragraph' style:parent-style-name='A'/>";
    let cell = format!(
        "<table:table-cell table:number-columns-repeated='999999999'><text:p text:style-name='A'>{}</text:p></table:table-cell>",
        "x".repeat(1000)
    );
    let body = format!(
        "<text:p>Seen<text:s text:c='4000000000'/>.</text:p><table:table><table:table-row table:number-rows-repeated='999999999'>{cell}</table:table-row></table:table>"
    );
    let limits = Limits { output_bytes_max: 16 << 20, ..Limits::default() };
    let read = extract(&odt(styles, &body), Format::Odt, &Options::default(), &limits)
        .expect("a part")
        .output;
    assert!(read.pages.iter().map(|page| page.verbatim.len()).sum::<usize>() < 8 << 20);
}

proptest! {
    #[test]
    fn damaged_files_are_refused_or_read(at in 0usize..50_000, byte in any::<u8>(), cut in 0usize..50_000) {
        let mut bytes = fixture("formats/mutual-nda.odt");
        let at = at % bytes.len();
        bytes[at] ^= byte;
        for bytes in [&bytes[..], &bytes[..cut % bytes.len()]] {
            if let Ok(read) = extract(bytes, Format::Odt, &Options::default(), &Limits::default()) {
                layers_hold(&read.output);
            }
        }
    }
}
