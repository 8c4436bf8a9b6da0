//! What a reader of a Word file would miss: clause numbers, both sides of its changes, what is hidden.

use std::io::{Cursor, Write};

use expect_test::expect_file;
use nightclerk::base::{Format, Limits};
use nightclerk::extract::{Document, Layer, Options, RefusalKind, RemarkKind, Role, View, extract};
use zip::write::SimpleFileOptions;

use crate::layers::layers_hold;

const TRANSITIONAL: &str = "http://schemas.openxmlformats.org/wordprocessingml/2006/main";
const STRICT: &str = "http://purl.oclc.org/ooxml/wordprocessingml/main";

fn fixture(name: &str) -> Vec<u8> {
    let path = format!("{}/fixtures/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn read_as(bytes: &[u8], view: View) -> Document {
    let options = Options { view, ..Options::default() };
    let read = extract(bytes, Format::Docx, &options, &Limits::default());
    let document = read.unwrap_or_else(|refusal| panic!("{refusal}")).output;
    layers_hold(&document);
    document
}

/// A Word file with this body and, where given, these further parts.
fn package(namespace: &str, body: &str, parts: &[(&str, &str)]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    let mut put = |name: &str, content: &str| {
        zip.start_file(name, stored).expect("in memory");
        zip.write_all(content.as_bytes()).expect("in memory");
    };
    let kinds = parts.iter().enumerate().map(|(index, (kind, _))| {
        format!("<Relationship Id='r{index}' Type='http://x/{kind}' Target='{kind}.xml'/>")
    });
    let relations = format!(
        "<Relationships xmlns='http://schemas.openxmlformats.org/package/2006/relationships'>{}\
         </Relationships>",
        kinds.collect::<String>()
    );
    let relation = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
    let document = format!(
        "<q:document xmlns:q='{namespace}' xmlns:r='{relation}' \
         xmlns:mc='http://schemas.openxmlformats.org/markup-compatibility/2006' xmlns:v='urn:v'>\
         <q:body>{body}</q:body></q:document>"
    );
    put("word/document.xml", &document);
    put("word/_rels/document.xml.rels", &relations);
    for (kind, content) in parts {
        put(&format!("word/{kind}.xml"), &content.replace("NS", namespace));
    }
    zip.finish().expect("in memory").into_inner()
}

fn p(text: &str) -> String {
    format!("<q:p><q:r><q:t>{text}</q:t></q:r></q:p>")
}

fn text_of(body: &str, view: View) -> String {
    read_as(&package(TRANSITIONAL, body, &[]), view).text(Layer::Verbatim).trim().to_owned()
}

#[test]
fn the_nda_reads_as_word_prints_it() {
    // Clause numbers compared with LibreOffice 7.4 (`soffice --headless --convert-to txt:Text`), with
    // two known differences: it counts clause 3.3 although it is deleted, and prints "I.1" where
    // `w:isLgl` asks for "1.1".
    let document = read_as(&fixture("inbox/mutual-nda.docx"), View::Accepted);
    expect_file!["golden/mutual-nda.txt"].assert_eq(&document.paged_text(Layer::Verbatim));
    let labels: Vec<&str> =
        document.pages[0].blocks.iter().filter_map(|block| block.label.as_deref()).collect();
    assert_eq!(labels[..6], ["1", "1.1", "2", "2.1", "(a)", "(b)"]);
    assert!(labels.contains(&"Schedule II") && labels.contains(&"2.2"));
    let hidden = &document.pages[0].hidden[0];
    assert!(hidden.why == "w:vanish" && hidden.text.contains("liability is unlimited"));
    assert!(!document.pages[0].model.contains("liability is unlimited"));
}

#[test]
fn both_sides_of_the_changes_are_kept_with_author_and_date() {
    let bytes = fixture("inbox/mutual-nda.docx");
    let original = read_as(&bytes, View::Original);
    expect_file!["golden/mutual-nda.original.txt"].assert_eq(&original.paged_text(Layer::Verbatim));
    let document = read_as(&bytes, View::Accepted);
    let count = |kind| document.remarks.iter().filter(|remark| remark.kind == kind).count();
    assert_eq!(count(RemarkKind::Insertion), 3);
    assert_eq!(count(RemarkKind::Deletion), 4);
    assert_eq!(count(RemarkKind::Comment), 1);
    let term =
        document.remarks.iter().find(|remark| remark.text == "3 March 2027").expect("the new end");
    assert_eq!((&*term.author, &*term.date), ("Anna Lindqvist", "2024-02-19T10:12:00Z"));
}

#[test]
fn the_lease_amendment_reads_as_word_prints_it() {
    let document = read_as(&fixture("inbox/lease-amendment.docx"), View::Accepted);
    expect_file!["golden/lease-amendment.txt"].assert_eq(&document.paged_text(Layer::Verbatim));
    let headers = document.pages[0].blocks.iter().filter(|block| block.role == Role::TableHeader);
    assert_eq!(headers.count(), 1);
}

#[test]
fn strict_files_and_any_prefix_are_read() {
    let document = read_as(&package(STRICT, &p("Strictly speaking"), &[]), View::Accepted);
    assert_eq!(document.pages[0].verbatim, "Strictly speaking");
}

#[test]
fn content_controls_text_boxes_and_alternate_content_are_read_once() {
    let boxed = format!("<q:txbxContent>{}</q:txbxContent>", p("In the box"));
    let body = format!(
        "<q:sdt><q:sdtPr><q:alias q:val='x'/></q:sdtPr><q:sdtContent>{}</q:sdtContent></q:sdt>\
         <q:p><q:r><q:t>Anchor</q:t></q:r><q:r><mc:AlternateContent>\
         <mc:Choice Requires='wps'><q:drawing>{boxed}</q:drawing></mc:Choice>\
         <mc:Fallback><q:pict><v:x>{boxed}</v:x></q:pict></mc:Fallback></mc:AlternateContent></q:r></q:p>",
        p("Controlled")
    );
    assert_eq!(text_of(&body, View::Accepted), "Controlled\n\nAnchor\n\nIn the box");
}

#[test]
fn moves_are_printed_once_and_removed_paragraph_marks_merge() {
    let run = |text: &str| format!("<q:r><q:t xml:space='preserve'>{text}</q:t></q:r>");
    let mark =
        |kind: &str| format!("<q:pPr><q:rPr><q:{kind} q:author='A' q:date='D'/></q:rPr></q:pPr>");
    let body = format!(
        "<q:p>{}<q:moveFrom q:author='A'>{}</q:moveFrom></q:p>{}\
         <q:p>{}<q:moveTo q:author='A'>{}</q:moveTo></q:p>\
         <q:p>{}{}</q:p><q:p>{}</q:p>",
        mark("moveFrom"),
        run("Moved."),
        p("Stays."),
        mark("moveTo"),
        run("Moved."),
        mark("del"),
        run("One "),
        run("line."),
    );
    assert_eq!(text_of(&body, View::Accepted), "Stays.\n\nMoved.\n\nOne line.");
    assert_eq!(text_of(&body, View::Original), "Moved.\n\nStays.\n\nOne\n\nline.");
}

#[test]
fn a_redline_shows_every_change_with_its_author_and_both_places_of_a_move() {
    let run = |text: &str| format!("<q:r><q:t xml:space='preserve'>{text}</q:t></q:r>");
    let by = "q:author='Ann' q:date='2024'";
    let mark = |kind: &str| format!("<q:pPr><q:rPr><q:{kind} {by}/></q:rPr></q:pPr>");
    let deleted = |text: &str| {
        format!("<q:del {by}><q:r><q:delText xml:space='preserve'>{text}</q:delText></q:r></q:del>")
    };
    let row = |mark: &str, text: &str| {
        format!(
            "<q:tr><q:trPr><q:{mark} {by}/></q:trPr><q:tc>{}</q:tc><q:tc>{}</q:tc></q:tr>",
            p(text),
            p("x")
        )
    };
    let body = format!(
        "<q:p>{}<q:moveFromRangeStart q:id='1' q:name='m'/><q:moveFrom {by}>{}</q:moveFrom></q:p><q:moveFromRangeEnd q:id='1'/>\
         <q:p>{}{}<q:ins {by}>{}</q:ins><q:ins {by}>{}</q:ins>{}</q:p>\
         <q:p>{}{}</q:p><q:p>{}{}</q:p><q:p>{}</q:p>\
         <q:moveToRangeStart q:id='2' q:name='m'/><q:p>{}<q:moveTo {by}>{}</q:moveTo></q:p><q:moveToRangeEnd q:id='2'/>\
         <q:tbl>{}{}</q:tbl>\
         <q:p><q:ins {by}>{}</q:ins><q:ins q:author='Ben'><q:del q:author='Ann'>{}</q:del></q:ins></q:p>",
        mark("moveFrom"),
        run("Moved."),
        run("Due in "),
        deleted("30"),
        run("4"),
        run("5"),
        run(" {++days."),
        mark("del"),
        run("One "),
        mark("del"),
        deleted("Gone."),
        run("line."),
        mark("moveTo"),
        run("Moved."),
        row("ins", "new"),
        row("del", "old"),
        run("in"),
        run("out"),
    );
    let ann = "{>>Ann, 2024<<}";
    let here = "{>>moved here (move 1), Ann, 2024<<}";
    let away = "{>>moved away from here (move 1), Ann, 2024<<}";
    assert_eq!(
        text_of(&body, View::Redline),
        format!(
            "{away}\n\nDue in {{--30--}}{ann}{{++45++}}{ann} \\{{++days.\n\nOne {{--¶--}}{ann}\n{{--Gone.¶--}}{ann}\nline.\n\n\
             {{++Moved.¶++}}{here}\n\
             {{++new++}}{ann}\t{{++x++}}{ann}\n{{--old--}}{ann}\t{{--x--}}{ann}\n\n\
             {{++in++}}{ann}{{--out--}}{{>>Ann; inside: Ben<<}}"
        )
    );
    let document = read_as(&package(TRANSITIONAL, &body, &[]), View::Accepted);
    let facts: Vec<_> =
        document.remarks.iter().map(|r| (r.kind, &*r.text, r.block.unwrap_or(99))).collect();
    use RemarkKind::*;
    assert_eq!(
        facts[..6],
        [
            (MovedAway, "Moved.¶", 0),
            (Deletion, "30", 0),
            (Insertion, "45", 0),
            (Deletion, "¶", 1),
            (Deletion, "Gone.¶", 1),
            (MovedHere, "Moved.¶", 2)
        ]
    );
}

#[test]
fn comments_stand_at_their_text_and_their_clause() {
    let comments = "<q:comments xmlns:q='NS'><q:comment q:id='7' q:author='Ann' q:date='2024'><q:p><q:r><q:t>Too long?</q:t></q:r></q:p></q:comment>\
        <q:comment q:id='8' q:author='Ben'><q:p><q:r><q:t>Loose</q:t></q:r></q:p></q:comment></q:comments>";
    let body = p("4.2 The term")
        + "<q:p><q:r><q:t xml:space='preserve'>(a) is </q:t></q:r><q:commentRangeStart q:id='7'/><q:r><q:t>five</q:t></q:r><q:r><q:t xml:space='preserve'> years</q:t></q:r>\
           <q:commentRangeEnd q:id='7'/><q:r><q:commentReference q:id='7'/></q:r><q:r><q:t>.</q:t></q:r></q:p>";
    let bytes = package(TRANSITIONAL, &body, &[("comments", comments)]);
    let document = read_as(&bytes, View::Accepted);
    assert_eq!(document.pages[0].verbatim, "4.2 The term\n\n(a) is five years.");
    let told: Vec<_> = document
        .remarks
        .iter()
        .map(|r| (&*r.author, &*r.text, &*r.anchor, r.clause.as_deref()))
        .collect();
    assert_eq!(
        told,
        [("Ann", "Too long?", "five years", Some("4.2(a)")), ("Ben", "Loose", "", None)]
    );
    assert_eq!(
        read_as(&bytes, View::Redline).pages[0].verbatim,
        "4.2 The term\n\n(a) is five years{>>Ann, 2024 on \"five years\": Too long?<<}."
    );
}

#[test]
fn documents_inside_the_document_stand_where_they_are_imported() {
    let inner = package(TRANSITIONAL, &p("from a Word file"), &[]);
    let chunks: [(&str, &[u8]); 5] = [
        ("a.html", b"<html><body><p>from a page</p></body></html>"),
        ("b.rtf", b"{\\rtf1 from rich text\\par}"),
        ("c.txt", b"from plain text"),
        ("d.docx", &inner),
        ("e.mht", b"MIME-Version: 1.0\r\nContent-Type: text/html\r\n\r\n<p>from a saved page</p>"),
    ];
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    let mut relations =
        "<Relationships xmlns='http://schemas.openxmlformats.org/package/2006/relationships'>"
            .to_owned();
    let mut body = p("First");
    for (name, content) in chunks {
        zip.start_file(format!("word/{name}"), stored).expect("in memory");
        zip.write_all(content).expect("in memory");
        relations +=
            &format!("<Relationship Id='{name}' Type='http://x/aFChunk' Target='{name}'/>");
        body += &format!("<q:altChunk r:id='{name}'/>");
    }
    body += &p("Last");
    zip.start_file("word/_rels/document.xml.rels", stored).expect("in memory");
    zip.write_all((relations + "</Relationships>").as_bytes()).expect("in memory");
    zip.start_file("word/document.xml", stored).expect("in memory");
    let relation = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
    write!(zip, "<q:document xmlns:q='{TRANSITIONAL}' xmlns:r='{relation}'><q:body>{body}</q:body></q:document>").expect("in memory");
    let bytes = zip.finish().expect("in memory").into_inner();
    let text = read_as(&bytes, View::Accepted).text(Layer::Verbatim);
    assert_eq!(
        text.trim(),
        "First\n\nfrom a page\n\nfrom rich text\n\nfrom plain text\n\nfrom a Word file\n\nfrom a saved page\n\nLast"
    );
}

#[test]
fn changed_cells_notes_fields_and_formulas_follow_the_view() {
    let cell = |mark: &str, text: &str| format!("<q:tc><q:tcPr>{mark}</q:tcPr>{}</q:tc>", p(text));
    let math = "http://schemas.openxmlformats.org/officeDocument/2006/math";
    let part = |name: &str, inside: &str| format!("<m:{name}>{inside}</m:{name}>");
    let fraction = |top: &str, bottom: &str| {
        let run = |text: &str| format!("<m:r><m:t>{text}</m:t></m:r>");
        let (top, bottom) = (part("num", &run(top)), part("den", &run(bottom)));
        format!("<m:oMath xmlns:m='{math}'><m:f>{top}{bottom}</m:f></m:oMath>")
    };
    let gone = format!(
        "<m:oMath xmlns:m='{math}'><m:f><m:num><q:del q:author='A'><m:r><m:t>x</m:t></m:r></q:del></m:num>\
         <m:den><q:del q:author='A'><m:r><m:t>y</m:t></m:r></q:del></m:den></m:f></m:oMath>"
    );
    let mark = |kind: &str| format!("<q:r><q:fldChar q:fldCharType='{kind}'/></q:r>");
    let note = |id: &str| format!("<q:r><q:footnoteReference q:id='{id}'/></q:r>");
    let body = format!(
        "<q:tbl><q:tr>{}{}{}</q:tr></q:tbl><q:p>{}{gone}</q:p>\
         <q:p><q:r><q:t>Pay</q:t></q:r><q:del q:author='A'>{}<q:r><q:delInstrText>PAGE</q:delInstrText></q:r>{}<q:r><q:delText>9</q:delText></q:r>{}{}</q:del>\
         <q:ins q:author='A'>{}</q:ins></q:p>",
        cell("<q:gridSpan q:val='2'/>", "wide"),
        cell("<q:cellDel q:author='A'/>", "old"),
        cell("<q:cellIns q:author='A'/>", "new"),
        fraction("1", "2"),
        mark("begin"),
        mark("separate"),
        mark("end"),
        note("2"),
        note("3"),
    );
    let footnotes = format!(
        "<q:footnotes xmlns:q='NS'><q:footnote q:id='2'>{}</q:footnote><q:footnote q:id='3'>{}</q:footnote></q:footnotes>",
        p("was"),
        p("is")
    );
    let bytes = package(TRANSITIONAL, &body, &[("footnotes", &footnotes)]);
    let pages = |view| -> Vec<String> {
        read_as(&bytes, view).pages.iter().map(|page| page.verbatim.clone()).collect()
    };
    assert_eq!(pages(View::Accepted), ["wide\tnew\n\n1/2\n\nPay¹", "¹ is"]);
    assert_eq!(pages(View::Original), ["wide\told\n\n1/2x/y\n\nPay9¹", "¹ was"]);
}

#[test]
fn changed_properties_rows_and_merges_follow_the_view() {
    let run = |properties: &str, text: &str| {
        format!("<q:r><q:rPr>{properties}</q:rPr><q:t xml:space='preserve'>{text}</q:t></q:r>")
    };
    let row = |mark: &str, cells: &[(&str, &str)]| {
        let cells = cells.iter().map(|(properties, text)| {
            format!("<q:tc><q:tcPr>{properties}</q:tcPr>{}</q:tc>", p(text))
        });
        format!("<q:tr><q:trPr>{mark}</q:trPr>{}</q:tr>", cells.collect::<String>())
    };
    let body = format!(
        "<q:p>{}{}</q:p><q:tbl>{}{}{}</q:tbl>",
        run("<q:vanish/><q:rPrChange q:author='A'><q:rPr/></q:rPrChange>", "was seen"),
        run("<q:rPrChange q:author='A'><q:rPr><q:vanish/></q:rPr></q:rPrChange>", "is seen"),
        row("", &[("", "Term"), ("", "a year")]),
        row("<q:ins q:author='A'/><q:del q:author='B'/>", &[("", "came"), ("", "and went")]),
        row(
            "",
            &[
                ("<q:vMerge/><q:tcPrChange q:author='A'><q:tcPr/></q:tcPrChange>", "Fee"),
                ("", "ten")
            ]
        ),
    );
    assert_eq!(text_of(&body, View::Accepted), "is seen\nTerm\ta year\n\tten");
    assert_eq!(text_of(&body, View::Original), "was seen\nTerm\ta year\nFee\tten");
}

#[test]
fn fields_print_their_result_across_paragraphs_and_nests() {
    let mark = |kind: &str| format!("<q:r><q:fldChar q:fldCharType='{kind}'/></q:r>");
    let code = |code: &str| format!("<q:r><q:instrText>{code}</q:instrText></q:r>");
    let body = format!(
        "<q:p>{begin}{if_code}{begin}{page}{separate}{seven}{end}{separate}<q:r><q:t>shown</q:t></q:r></q:p>\
         <q:p><q:r><q:t>still</q:t></q:r>{end}<q:fldSimple q:instr='DATE'><q:r><q:t> today</q:t></q:r></q:fldSimple></q:p>",
        begin = mark("begin"),
        separate = mark("separate"),
        end = mark("end"),
        if_code = code("IF "),
        page = code("PAGE"),
        seven = "<q:r><q:t>7</q:t></q:r>",
    );
    assert_eq!(text_of(&body, View::Accepted), "shown\n\nstill today");
}

#[test]
fn a_style_separator_joins_a_heading_and_its_clause() {
    let numbering = "<q:numbering xmlns:q='NS'><q:abstractNum q:abstractNumId='0'><q:lvl q:ilvl='0'>\
         <q:start q:val='4'/><q:numFmt q:val='decimal'/><q:lvlText q:val='%1.'/></q:lvl></q:abstractNum>\
         <q:num q:numId='1'><q:abstractNumId q:val='0'/></q:num></q:numbering>";
    let numbered = "<q:numPr><q:ilvl q:val='0'/><q:numId q:val='1'/></q:numPr>";
    let body = format!(
        "<q:p><q:pPr>{numbered}<q:rPr><q:vanish/><q:specVanish/></q:rPr></q:pPr><q:r><q:t>Term.</q:t></q:r></q:p>\
         <q:p><q:r><q:t xml:space='preserve'> One year.</q:t></q:r></q:p><q:p><q:pPr>{numbered}</q:pPr><q:r><q:t>Fees</q:t></q:r></q:p>"
    );
    let bytes = package(TRANSITIONAL, &body, &[("numbering", numbering)]);
    let document = read_as(&bytes, View::Accepted);
    assert_eq!(document.pages[0].verbatim, "4. Term. One year.\n\n5. Fees");
    assert_eq!(document.pages[0].blocks[1].label.as_deref(), Some("5"));
}

#[test]
fn endnotes_and_the_margins_of_pages_follow_the_body() {
    let reference =
        |kind: &str, of: &str, id: &str| format!("<q:{kind}Reference q:type='{of}' r:id='{id}'/>");
    let body = format!(
        "<q:p><q:r><q:t>Pay</q:t></q:r><q:r><q:endnoteReference q:id='7'/></q:r></q:p>\
         <q:p><q:r><q:t>late</q:t></q:r><q:r><q:endnoteReference q:id='4'/></q:r></q:p>\
         <q:sectPr>{}{}{}</q:sectPr>",
        reference("header", "default", "r1"),
        reference("header", "first", "r2"),
        reference("footer", "default", "r3")
    );
    let margin = |name: &str, inside: &str| format!("<q:{name} xmlns:q='NS'>{inside}</q:{name}>");
    let note = |id: &str, text: &str| format!("<q:endnote q:id='{id}'>{}</q:endnote>", p(text));
    let notes = margin("endnotes", &(note("4", "with interest") + &note("7", "in euros")));
    let boxed = format!(
        "<q:p><q:r><q:pict><v:x><q:txbxContent>{}</q:txbxContent></v:x></q:pict></q:r></q:p>",
        p("in a box")
    );
    let parts = [
        ("endnotes", notes),
        ("header1", margin("hdr", &(p("Harbour Mills") + &boxed))),
        ("header2", margin("hdr", &p("a title page that is none"))),
        ("footer1", margin("ftr", &p("Page 1"))),
    ];
    let parts: Vec<(&str, &str)> = parts.iter().map(|(kind, part)| (*kind, &**part)).collect();
    let document = read_as(&package(TRANSITIONAL, &body, &parts), View::Accepted);
    let pages: Vec<&str> = document.pages.iter().map(|page| &*page.verbatim).collect();
    // Word numbers endnotes i, ii in the order of their marks.
    let expected =
        ["Pay[i]\n\nlate[ii]", "[i] in euros\n\n[ii] with interest", "Harbour Mills\n\nin a box"];
    assert_eq!(pages[..3], expected);
    assert_eq!(pages.last(), Some(&"Page 1"));
    let hidden: Vec<_> = document.pages.iter().flat_map(|page| &page.hidden).collect();
    assert_eq!(hidden.len(), 1);
    assert!(hidden[0].why.contains("first page header"), "{}", hidden[0].why);
}

#[test]
fn content_controls_around_words_cells_and_rows_are_read() {
    let cell = |text: &str| format!("<q:tc>{}</q:tc>", p(text));
    let control =
        |inside: &str| format!("<q:sdt><q:sdtPr/><q:sdtContent>{inside}</q:sdtContent></q:sdt>");
    let body = format!(
        "<q:tbl><q:tr>{}{}</q:tr>{}</q:tbl><q:p><q:r><q:t xml:space='preserve'>Party: </q:t></q:r>{}</q:p>",
        control(&cell("A")),
        cell("B"),
        control(&format!("<q:tr>{}{}</q:tr>", cell("C"), control(&cell("D")))),
        control(&control("<q:r><q:t>Mills</q:t></q:r>"))
    );
    assert_eq!(text_of(&body, View::Accepted), "A\tB\nC\tD\n\nParty: Mills");
}

#[test]
fn tables_in_tables_and_merged_cells_keep_every_text_once_and_in_order() {
    let row = |cells: &[&str]| {
        let cells = cells.iter().map(|inside| format!("<q:tc>{inside}</q:tc>"));
        format!("<q:tr>{}</q:tr>", cells.collect::<String>())
    };
    let (a, b, c, d) = (p("a"), p("b"), p("c"), p("d"));
    let inner = format!("<q:tbl>{}{}</q:tbl>", row(&[&a, &b]), row(&[&c, &d]));
    let nested = format!("{}{inner}{}", p("before"), p("after"));
    let merge = |mark: &str, text: &str| {
        format!("<q:tcPr><q:gridSpan q:val='2'/>{mark}</q:tcPr>{}", p(text))
    };
    let body = format!(
        "<q:tbl>{}</q:tbl>{}<q:tbl>{}{}{}</q:tbl>",
        row(&[&p("left"), &nested]),
        p("between"),
        row(&[&merge("<q:vMerge q:val='restart'/>", "tall and wide"), &p("1")]),
        row(&[&merge("<q:vMerge/>", ""), &p("2")]),
        row(&[&p("x"), &p("y"), &p("3")])
    );
    let expected = "left\n\nbefore\na\tb\nc\td\n\nafter\n\nbetween\ntall and wide\t1\n\t2\nx\ty\t3";
    assert_eq!(text_of(&body, View::Accepted), expected);
}

#[test]
fn layout_tables_dissolve_and_merged_cells_print_once() {
    let cell = |inside: &str| format!("<q:tc>{inside}</q:tc>");
    let inner = format!("<q:tbl><q:tr>{}{}</q:tr></q:tbl>", cell(&p("in")), cell(&p("side")));
    let merged = "<q:tc><q:tcPr><q:vMerge/></q:tcPr><q:p/></q:tc>";
    let body = format!(
        "<q:tbl><q:tr>{}{}</q:tr></q:tbl><q:tbl><q:tr>{}{}</q:tr><q:tr>{merged}{}</q:tr></q:tbl>",
        cell(&p("left")),
        cell(&inner),
        cell(&p("tall")),
        cell(&p("a")),
        cell(&p("b"))
    );
    assert_eq!(text_of(&body, View::Accepted), "left\nin\tside\ntall\ta\n\tb");
}

#[test]
fn text_that_nobody_sees_is_kept_apart() {
    let run = |properties: &str, text: &str| {
        format!("<q:r><q:rPr>{properties}</q:rPr><q:t xml:space='preserve'>{text}</q:t></q:r>")
    };
    let body = format!(
        "<q:p>{}{}{}{}</q:p>",
        run("", "Seen"),
        run("<q:color q:val='FFFFFF'/>", " white"),
        run("<q:sz q:val='2'/>", " tiny"),
        run("<q:color q:val='FFFFFF'/><q:shd q:val='clear' q:fill='000080'/>", " on blue"),
    );
    let document = read_as(&package(TRANSITIONAL, &body, &[]), View::Accepted);
    assert_eq!(document.pages[0].verbatim, "Seen on blue");
    let why: Vec<&str> = document.pages[0].hidden.iter().map(|hidden| &*hidden.why).collect();
    assert_eq!(why, ["white on white", "under 2 pt"]);
}

#[test]
fn damaged_and_hostile_files_are_refused_by_name_and_limit() {
    for (name, kind, says) in [
        ("zip-bomb.docx", RefusalKind::Limit, "inflates"),
        ("zip-bomb-declared.docx", RefusalKind::Limit, "4294967295"),
        ("nested-xml.docx", RefusalKind::Limit, "deeper than 256"),
        ("truncated.docx", RefusalKind::Damaged, "cut off"),
        ("empty.docx", RefusalKind::Empty, "no text"),
        ("empty.txt", RefusalKind::Empty, "empty"),
        ("mislabelled.csv", RefusalKind::Damaged, "ZIP container"),
    ] {
        let bytes = fixture(&format!("damaged/{name}"));
        let refusal =
            extract(&bytes, Format::Docx, &Options::default(), &Limits::default()).expect_err(name);
        assert_eq!(refusal.kind, kind, "{name}: {refusal}");
        assert!(refusal.message.contains(says), "{name}: {refusal}");
    }
}

#[test]
fn a_document_type_declaration_is_refused() {
    let part = "<!DOCTYPE x [<!ENTITY a 'b'>]><q:styles xmlns:q='NS'/>";
    let bytes = package(TRANSITIONAL, &p("Body"), &[("styles", part)]);
    let read =
        extract(&bytes, Format::Docx, &Options::default(), &Limits::default()).expect("the body");
    assert!(
        read.warnings.iter().any(|warning| warning.message.contains("document type declaration"))
    );
}

#[test]
fn a_body_that_breaks_off_is_read_that_far_and_said_so() {
    let bytes = package(TRANSITIONAL, &(p("First") + "<q:p><q:r><q:t>Sec<"), &[]);
    let read =
        extract(&bytes, Format::Docx, &Options::default(), &Limits::default()).expect("a part");
    assert!(read.output.pages[0].verbatim.starts_with("First"));
    assert!(read.warnings.iter().any(|warning| warning.message.contains("breaks off")));
}
