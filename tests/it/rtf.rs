//! RTF: text in its code pages, tables, notes, changes, hidden text, and groups without end.

use nightclerk::base::{Format, Limits, Warned};
use nightclerk::extract::{
    Document, Options, PageState, RefusalKind, RemarkKind, Role, View, extract,
};
use proptest::prelude::*;

use crate::layers::layers_hold;
use crate::odt::fixture;

fn read_as(bytes: &[u8], view: View) -> Warned<Document> {
    let options = Options { view, ..Options::default() };
    let read = extract(bytes, Format::Rtf, &options, &Limits::default());
    let read = read.unwrap_or_else(|refusal| panic!("{refusal}"));
    layers_hold(&read.output);
    read
}

fn read(body: &str) -> Warned<Document> {
    read_as(format!("{{\\rtf1\\ansi {body}}}").as_bytes(), View::Accepted)
}

fn verbatim(body: &str) -> String {
    read(body).output.pages[0].verbatim.clone()
}

#[test]
fn the_agreement_reads_as_it_does_in_words_format() {
    let rtf = read_as(&fixture("formats/mutual-nda.rtf"), View::Accepted).output;
    let docx = fixture("inbox/mutual-nda.docx");
    let docx = extract(&docx, Format::Docx, &Options::default(), &Limits::default())
        .expect("a fixture")
        .output;
    let lines = |document: &Document| -> Vec<String> {
        document.pages[0].model.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
    };
    let (found, expected) = (lines(&rtf), lines(&docx));
    assert_eq!(found.len(), expected.len());
    let mut different = 0;
    for (found, expected) in found.iter().zip(&expected) {
        if found == expected {
            continue;
        }
        different += 1;
        // LibreOffice writes a reference that it cannot follow as an error, counts the deleted clause
        // 3.3, and knows no legal style.
        let known = found.contains("Reference source not found")
            || found.strip_prefix("3.4 ") == expected.strip_prefix("3.3 ")
            || [("I.", "1."), ("II.", "2.")].iter().any(|(roman, digit)| {
                found
                    .strip_prefix(roman)
                    .is_some_and(|rest| expected.strip_prefix(digit) == Some(rest))
            });
        assert!(known, "{found}\n{expected}");
    }
    assert_eq!(different, 5);
    assert_eq!(rtf.pages[0].hidden[0].text, docx.pages[0].hidden[0].text);
    assert_eq!(rtf.pages[1].verbatim, docx.pages[1].verbatim, "the footnote");
    assert_eq!(rtf.pages[2].verbatim, docx.pages[2].verbatim, "the footer");
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
    assert_eq!(facts(&rtf), facts(&docx));
    assert_eq!(rtf.remarks[0].date, "2024-02-19T10:12:00");
    assert_eq!(rtf.properties["title"], "Mutual Non-Disclosure Agreement");
}

#[test]
fn characters_come_from_code_pages_unicode_and_symbols() {
    let fonts = "{\\fonttbl{\\f0 A;}{\\f1\\fcharset204 B;}{\\f2\\fcharset128 C;}{\\f3\\fcharset2 Wingdings;}}";
    let text = "\\f0 caf\\'e9 \\u8364? \\u-10179?\\u-8704?{\\uc2\\u228\\'e4\\'e4}{\\uc0\\u223}\\~\\_\\{x\\}\
                \\f1 \\'cf\\'f0\\f2 \\'93\\'fa\\'96\\'7b\\f3 \\'a8{\\upr{plain}{\\*\\ud{\\u252}}}";
    assert_eq!(verbatim(&format!("{fonts}{text}")), "café € 😀äß\u{a0}-{x}Пр日本☐ü");
    let read = read_as(b"{\\rtf1\\ansi\\ansicpg1250 \\'9a\\'ea}", View::Accepted);
    assert_eq!(read.output.pages[0].verbatim, "šę");
}

#[test]
fn paragraphs_lists_and_tables_have_their_roles() {
    let body = "{\\stylesheet{\\s1 heading 2;}}\\pard\\s1 Title\\par\\pard{\\listtext\\tab 4.2.\\tab}\\ls1 Clause\\line two\\par\
        \\trowd\\trhdr\\cellx1\\cellx2\\pard\\intbl A\\cell B\\cell\\row\\trowd\\pard\\intbl 1\\par 2\\cell\\cell\\row\\pard Last\\par";
    let read = read(body);
    let page = &read.output.pages[0];
    assert_eq!(page.verbatim, "Title\n\n4.2. Clause\ntwo\nA\tB\n1\n2\n\nLast");
    let roles: Vec<Role> = page.blocks.iter().map(|block| block.role).collect();
    assert_eq!(
        roles,
        [Role::Heading(2), Role::ListItem, Role::TableHeader, Role::TableRow, Role::Paragraph]
    );
    assert_eq!(page.blocks[1].label.as_deref(), Some("4.2"));
}

#[test]
fn what_is_no_text_is_left_out_and_what_is_hidden_kept_apart() {
    let body = "{\\colortbl;\\red255\\green255\\blue255;}{\\*\\unknown no}{\\info{\\author A}}Seen{\\v one}{\\fs2 two}{\\cf1 three}\
        {\\cf1\\chcbpat2 white on red}{\\field{\\*\\fldinst PAGE no}{\\fldrslt 7}}{\\xe no}{\\pict 0102}{\\*\\shppict{\\pict 00}}{\\nonshppict{\\pict 00}}\
        {\\object{\\*\\objdata 00}{\\result shown}}\\bin3 }}}.";
    let read = read(body);
    assert_eq!(read.output.pages[0].verbatim, "Seenwhite on red7shown.");
    let hidden: Vec<_> = read.output.pages[0].hidden.iter().map(|h| (&*h.text, &*h.why)).collect();
    assert_eq!(
        hidden,
        [("one", "hidden font (\\v)"), ("two", "under 2 pt"), ("three", "white on white")]
    );
    let messages: Vec<&str> = read.warnings.iter().map(|w| w.message.as_str()).collect();
    assert!(messages.contains(&"2 pictures or embedded objects are not read"), "{messages:?}");
    assert!(messages.contains(&"not read: an embedded object"), "{messages:?}");
}

#[test]
fn changes_notes_comments_and_headers_are_found() {
    let body = "{\\*\\revtbl{Unknown;}{Ann;}}{\\header Top\\par}{\\footer\\pard Bottom}due in {\\deleted\\revauthdel1 30}{\\revised\\revauth1 14} days\
        {\\super\\chftn{\\footnote\\chftn  Working days.}}{\\*\\atnauthor Ben}{\\*\\annotation{\\*\\atndate 667064972}Really?}{\\deleted\\par}joined\\par{\\*\\shpinst{\\shptxt Boxed\\par}}end";
    let read = read(body).output;
    let pages: Vec<(&str, &str)> =
        read.pages.iter().map(|page| (&*page.label, &*page.verbatim)).collect();
    assert_eq!(
        pages,
        [
            ("document", "due in 14 days¹joined\n\nend\n\nBoxed"),
            ("footnotes", "¹ Working days."),
            ("header 1", "Top"),
            ("footer 1", "Bottom"),
        ]
    );
    let remarks: Vec<_> = read.remarks.iter().map(|r| (r.kind, &*r.author, &*r.text)).collect();
    assert_eq!(
        remarks,
        [
            (RemarkKind::Deletion, "Ann", "30"),
            (RemarkKind::Insertion, "Ann", "14"),
            (RemarkKind::Comment, "Ben", "Really?"),
            (RemarkKind::Deletion, "Unknown", "¶")
        ]
    );
    let redline = read_as(format!("{{\\rtf1 {body}}}").as_bytes(), View::Redline).output;
    assert_eq!(
        redline.pages[0].verbatim.split("\n\n").next(),
        Some(
            "due in {--30--}{>>Ann<<}{++14++}{>>Ann<<} days¹{>>Ben, 2024-02-19T10:12:00: Really?<<}{--¶--}{>>Unknown<<}\njoined"
        )
    );
    let original = read_as(format!("{{\\rtf1 {body}}}").as_bytes(), View::Original).output;
    assert_eq!(original.pages[0].verbatim.lines().next(), Some("due in 30 days¹"));
}

#[test]
fn hostile_files_end_within_limits() {
    let refuse = |bytes: &[u8]| {
        extract(bytes, Format::Rtf, &Options::default(), &Limits::default())
            .expect_err("hostile")
            .kind
    };
    assert_eq!(refuse(b"{\\rtf1 }"), RefusalKind::Empty);
    assert_eq!(refuse(b"plain"), RefusalKind::Damaged);
    let deep = read(&("Seen".to_owned() + &"{".repeat(1_000_000)));
    assert_eq!(deep.output.pages[0].verbatim, "Seen");
    assert!(
        matches!(&deep.output.pages[1].state, PageState::Skipped(why) if why.contains("deeper"))
    );
    let cut = read_as(b"{\\rtf1 {\\b Seen", View::Accepted);
    assert_eq!(cut.output.pages[0].verbatim, "Seen");
    assert!(cut.warnings[0].message.contains("cut off"));
    for body in [
        "Seen\\bin2147483647 x",
        "Seen\\uc2147483647\\u1",
        "Seen\\u\\u\\u55357",
        "{\\footnote {\\footnote {\\footnote x}}}Seen",
        "\\cell\\cell\\row\\rowSeen",
        "Seen\\'g",
        "}}}}Seen\\",
        "Seen{\\fonttbl{\\f-1\\fcharset-5 x",
        "{\\shptxt{\\header a}}Seen",
        "\\cf-1\\f-9\\fs-2147483648 Seen",
    ] {
        let text = format!("{{\\rtf1 {body}}}");
        if let Ok(read) =
            extract(text.as_bytes(), Format::Rtf, &Options::default(), &Limits::default())
        {
            layers_hold(&read.output);
        }
    }
}

proptest! {
    #[test]
    fn any_file_is_read_or_refused_and_the_layers_hold(
        pieces in prop::collection::vec(prop::sample::select(&[
            "{", "}", "\\par ", "\\cell ", "\\row ", "{\\footnote ", "{\\header ", "{\\*\\annotation ", "\\u8364?", "\\'e9", "\\deleted ",
            "\\revised ", "\\v ", "text", "{\\listtext 1.}", "\\intbl ", "\\pard ", "{\\*\\x ", "\\bin9 ", "{\\fonttbl{\\f1 a;}}", "\\f1 ", "\\chftn ",
        ][..]), 0..60),
    ) {
        let text = "{\\rtf1 ".to_owned() + &pieces.concat();
        for view in [View::Accepted, View::Original] {
            let options = Options { view, ..Options::default() };
            if let Ok(read) = extract(text.as_bytes(), Format::Rtf, &options, &Limits::default()) {
                layers_hold(&read.output);
            }
        }
    }
}
