//! Workbooks: what is displayed is read, what is hidden is kept apart, and corners far apart cost nothing.

use expect_test::expect_file;
use nightclerk::base::{Format, Limits};
use nightclerk::extract::{Layer, Options, RemarkKind, Role, extract};

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

const SHEET: &str = "http://schemas.openxmlformats.org/spreadsheetml/2006/main";

fn relations(entries: &str) -> String {
    format!(
        "<Relationships xmlns='http://schemas.openxmlformats.org/package/2006/relationships'>{entries}</Relationships>"
    )
}

/// What every workbook of one sheet begins with.
fn frame() -> [(&'static str, String); 3] {
    [
        (
            "[Content_Types].xml",
            "<Types xmlns='http://schemas.openxmlformats.org/package/2006/content-types'/>"
                .to_owned(),
        ),
        (
            "_rels/.rels",
            relations(
                "<Relationship Id='r' Type='http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument' Target='xl/workbook.xml'/>",
            ),
        ),
        (
            "xl/workbook.xml",
            format!(
                "<workbook xmlns='{SHEET}' xmlns:r='http://schemas.openxmlformats.org/officeDocument/2006/relationships'><sheets><sheet name='A' sheetId='1' r:id='s'/></sheets></workbook>"
            ),
        ),
    ]
}

fn package(parts: &[(&str, String)]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, content) in parts {
        zip.start_file(*name, zip::write::SimpleFileOptions::default()).expect("in memory");
        std::io::Write::write_all(&mut zip, content.as_bytes()).expect("in memory");
    }
    zip.finish().expect("in memory").into_inner()
}

#[test]
fn a_column_of_too_many_letters_costs_its_sheet_and_not_the_program() {
    let relation = "<Relationship Id='s' Type='http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet' Target='worksheets/sheet1.xml'/>";
    let cell = "<c r='ABCDEFGHIJKLM1'><v>1</v></c>";
    let content = format!(
        "<worksheet xmlns='{SHEET}'><sheetData><row r='1'>{cell}</row></sheetData></worksheet>"
    );
    let mut parts = frame().to_vec();
    parts.push(("xl/_rels/workbook.xml.rels", relations(relation)));
    parts.push(("xl/worksheets/sheet1.xml", content));
    let read = extract(&package(&parts), Format::Xlsx, &Options::default(), &Limits::default());
    let read = read.unwrap_or_else(|refusal| panic!("{refusal}"));
    layers_hold(&read.output);
    let warnings: Vec<&str> = read.warnings.iter().map(|warning| &*warning.message).collect();
    assert_eq!(warnings, ["the sheet cannot be read: its cells cannot be made out"]);
}

#[test]
fn formulas_comments_and_unrounded_numbers_are_facts_about_their_cells() {
    let mut parts = frame().to_vec();
    parts.extend([
        ("xl/_rels/workbook.xml.rels", relations("<Relationship Id='s' Type='http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet' Target='worksheets/sheet1.xml'/><Relationship Id='t' Type='http://schemas.openxmlformats.org/officeDocument/2006/relationships/styles' Target='styles.xml'/><Relationship Id='p' Type='http://x/person' Target='persons/person.xml'/>")),
        ("xl/styles.xml", format!("<styleSheet xmlns='{SHEET}'><cellXfs><xf numFmtId='0'/><xf numFmtId='2'/></cellXfs></styleSheet>")),
        ("xl/worksheets/sheet1.xml", format!("<worksheet xmlns='{SHEET}'><sheetData><row r='1'><c r='A1' s='1'><v>0.12345</v></c><c r='B1'><f>IF(A1&lt;1,2,3)&amp;\"\"</f><v>2</v></c></row></sheetData></worksheet>")),
        ("xl/worksheets/_rels/sheet1.xml.rels", relations("<Relationship Id='c' Type='http://x/comments' Target='../comments1.xml'/><Relationship Id='d' Type='http://x/threadedComment' Target='../threadedComments/t1.xml'/>")),
        ("xl/comments1.xml", format!("<comments xmlns='{SHEET}'><authors><author>Ann</author></authors><commentList><comment ref='A1' authorId='0'><text><r><t>Why </t></r><r><t>this?</t></r></text></comment><comment ref='B1' authorId='0'><text><t>[Threaded comment]</t></text></comment></commentList></comments>")),
        ("xl/threadedComments/t1.xml", "<ThreadedComments xmlns='urn:t'><threadedComment ref='B1' dT='2024-05-01T10:00:00' personId='{1}'><text>Because.</text></threadedComment></ThreadedComments>".to_owned()),
        ("xl/persons/person.xml", "<personList xmlns='urn:t'><person id='{1}' displayName='Ben'/></personList>".to_owned()),
    ]);
    let bytes = package(&parts);
    let read = extract(&bytes, Format::Xlsx, &Options::default(), &Limits::default());
    let document = read.unwrap_or_else(|refusal| panic!("{refusal}")).output;
    assert_eq!(document.pages[0].verbatim, "0.12\t2");
    let facts: Vec<_> =
        document.remarks.iter().map(|r| (r.kind, &*r.anchor, &*r.author, &*r.text)).collect();
    assert_eq!(
        facts,
        [
            (RemarkKind::RawValue, "A1", "", "0.12345"),
            (RemarkKind::Formula, "B1", "", "=IF(A1<1,2,3)&\"\""),
            (RemarkKind::Comment, "B1", "Ben", "Because."),
            (RemarkKind::Comment, "A1", "Ann", "Why this?"),
        ]
    );
}

#[test]
fn a_broken_thumbnail_does_not_cost_the_workbook() {
    let whole = std::io::Cursor::new(fixture("inbox/assets.xlsx"));
    let mut zip = zip::ZipWriter::new_append(whole).expect("a container");
    let stored =
        zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    zip.start_file("docProps/thumbnail.wmf", stored).expect("in memory");
    std::io::Write::write_all(&mut zip, b"a picture of it").expect("in memory");
    let mut bytes = zip.finish().expect("in memory").into_inner();
    let at = bytes.windows(15).position(|it| it == b"a picture of it").expect("it is stored");
    bytes[at] ^= 1;
    let read = extract(&bytes, Format::Xlsx, &Options::default(), &Limits::default());
    let document = read.unwrap_or_else(|refusal| panic!("{refusal}")).output;
    assert_eq!(document.pages, read_as("inbox/assets.xlsx", Format::Xlsx).pages);
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

fn read_as(name: &str, format: Format) -> nightclerk::extract::Document {
    let read = extract(&fixture(name), format, &Options::default(), &Limits::default());
    let document = read.unwrap_or_else(|refusal| panic!("{name}: {refusal}")).output;
    layers_hold(&document);
    document
}

#[test]
fn a_workbook_reads_the_same_in_excels_old_format_and_in_open_document() {
    let xlsx = read_as("inbox/assets.xlsx", Format::Xlsx);
    for (name, format) in [("formats/assets.xls", Format::Xls), ("formats/assets.ods", Format::Ods)]
    {
        let other = read_as(name, format);
        for (found, expected) in other.pages.iter().zip(&xlsx.pages) {
            assert_eq!(found.label, expected.label, "{name}");
            // What LibreOffice displays where this program has a space too many or too few is the same.
            let bare = |text: &str| text.replace(['\u{a0}', ' '], "");
            assert_eq!(bare(&found.verbatim), bare(&expected.verbatim), "{name}");
            assert_eq!(found.hidden.len(), expected.hidden.len(), "{name}");
            for (found, expected) in found.hidden.iter().zip(&expected.hidden) {
                assert_eq!(
                    (&found.why, bare(&found.text)),
                    (&expected.why, bare(&expected.text)),
                    "{name}"
                );
            }
        }
        assert_eq!(other.pages.len(), xlsx.pages.len(), "{name}");
    }
}

#[test]
fn an_xlsb_reads_as_it_is_displayed() {
    let document = read_as("formats/costs.xlsb", Format::Xlsb);
    assert_eq!(document.pages[0].verbatim, "Item\tCost\tDue\nCrane hire\t1,234.50 €\t2024-08-01");
    let hidden: Vec<_> = document.pages[0].hidden.iter().map(|h| (&*h.why, &*h.text)).collect();
    assert_eq!(hidden, [("hidden row 3", "Fuel\t\t99.00 €"), ("hidden column B", "Rate\n19.5%")]);
    assert_eq!(document.pages[1].hidden[0].why, "hidden sheet");
}

fn facts(name: &str, format: Format) -> Vec<(RemarkKind, String, String)> {
    let remarks = read_as(name, format).remarks.into_iter();
    remarks.filter(|r| r.kind != RemarkKind::RawValue).map(|r| (r.kind, r.anchor, r.text)).collect()
}

fn as_written(cells: &[(&str, &str)], comment: &str) -> Vec<(RemarkKind, String, String)> {
    let fact = |kind, cell: &str, text: &str| (kind, cell.to_owned(), text.to_owned());
    let formulas = cells.iter().map(|(cell, text)| fact(RemarkKind::Formula, cell, text));
    formulas.chain([fact(RemarkKind::Comment, "A2", comment)]).collect()
}

#[test]
fn formulas_and_comments_of_xls_are_facts_as_they_were_written() {
    // As fixtures/make/formulas.fods has them, which LibreOffice made an XLS of.
    let expected = [
        ("C2", "=B2*(1+VAT)"),
        ("C3", "=ROUND(B3*'Q1 rates'!$A$1,2)"),
        ("B4", "=SUM(B2:B3)"),
        ("C4", "=SUM(C$2:C$3)-$C3"),
        ("B5", "=IFERROR(B4/B99,\"n/a \"\"x\"\"\")"),
        ("B6", "=SUMIFS(B2:B3,A2:A3,\"Crane\")"),
        ("B7", "=SUM(B2:B3*C2:C3)"),
        ("B8", "=-B2%+2^3&\" d\""),
        ("B9", "=INDEX({1,2.5;\"x\",3},2,1)"),
        ("B10", "=COUNTA(A:A)-ROWS(1:3)"),
        ("B11", "=IF(AND(B2>=100,B3<>0),CHOOSE(2,\"low\",\"high\"),\"\")"),
        ("B12", "=EDATE(TODAY(),1)"),
        ("B13", "=SUM(Jan:Mar!A1:A1)"),
    ];
    let found = facts("formats/formulas.xls", Format::Xls);
    assert_eq!(found, as_written(&expected, "Hired by\nthe week – ja."));
}

#[test]
fn formulas_and_comments_of_xlsb_are_facts_as_they_are_shown() {
    // As LibreOffice 7.4 shows the same file, but that it does not know the name.
    let expected = [
        ("C2", "=B2*(1+VAT)"),
        ("C3", "=B3*(1+VAT)"),
        ("B4", "=SUM(B2:B3)"),
        ("C4", "=SUM('Q1 rates'!$A$1:B$2)"),
        ("B5", "=IFERROR(A$1&\"a \"\"b\"\"\",$A$1)"),
        ("C5", "=-INDEX({2.5,\"x\"},1,2)%"),
        ("B6", "=SUM(B2:B3*B2:B3)"),
        ("C6", "=COUNTA($A:$A)"),
    ];
    let found = facts("formats/formulas.xlsb", Format::Xlsb);
    assert_eq!(found, as_written(&expected, "Hired by the week"));
}

fn ods(content: &str) -> Vec<u8> {
    let content = format!(
        "<o:document-content xmlns:o='urn:oasis:names:tc:opendocument:xmlns:office:1.0' xmlns:x='urn:oasis:names:tc:opendocument:xmlns:text:1.0' \
         xmlns:t='urn:oasis:names:tc:opendocument:xmlns:table:1.0' xmlns:d='http://purl.org/dc/elements/1.1/' xmlns:s='urn:oasis:names:tc:opendocument:xmlns:style:1.0'>\
         <s:style s:name='off'><s:table-properties t:display='false'/></s:style><o:body><o:spreadsheet>{content}</o:spreadsheet></o:body></o:document-content>"
    );
    crate::odt::zipped(&[
        ("mimetype", "application/vnd.oasis.opendocument.spreadsheet"),
        ("content.xml", &content),
    ])
}

#[test]
fn an_ods_cell_is_what_stands_in_it_and_its_comment_a_remark() {
    let bytes = ods(
        "<t:table t:name='A'><t:table-row><t:table-cell o:value-type='float' o:value='0.5' t:number-columns-repeated='2'><x:p>50 %</x:p></t:table-cell>\
         <t:table-cell t:number-columns-repeated='16000'/></t:table-row><t:table-row t:number-rows-repeated='2'><t:table-cell o:value-type='date' o:date-value='2024-05-01'><x:p>1. Mai</x:p></t:table-cell>\
         <t:table-cell><o:annotation><d:creator>Ann</d:creator><d:date>2024</d:date><x:p>Why?</x:p></o:annotation><x:p>a<x:s x:c='2'/>b</x:p><x:p>&amp;c</x:p></t:table-cell></t:table-row></t:table>\
         <t:table t:name='B' t:style-name='off'><t:table-row><t:table-cell><x:p>no</x:p></t:table-cell></t:table-row></t:table>",
    );
    let document = extract(&bytes, Format::Ods, &Options::default(), &Limits::default())
        .expect("a workbook")
        .output;
    assert_eq!(
        document.pages[0].verbatim,
        "50 %\t50 %\n2024-05-01\ta  b\n&c\n2024-05-01\ta  b\n&c"
    );
    assert_eq!(document.pages[1].hidden[0].why, "hidden sheet");
    let remark = &document.remarks[0];
    let told = (remark.page, &*remark.author, &*remark.anchor, &*remark.text);
    assert_eq!(told, (1, "Ann", "B2", "Why?"));
}

#[test]
fn a_formula_of_ods_is_a_fact_about_its_cell_as_that_shows_it() {
    // What LibreOffice 7.4 writes; it shows these two as =SUM(A1:$B$1) and =IF(A1<2;"[.x]";$'My.Sheet'.B1).
    let bytes = ods(
        "<t:table t:name='My.Sheet'><t:table-row><t:table-cell o:value-type='float' o:value='1'/><t:table-cell/>\
         <t:table-cell t:formula='of:=SUM([.A1:.$B$1])' o:value-type='float' o:value='1'><x:p>1</x:p></t:table-cell>\
         <t:table-cell t:formula=\"of:=IF([.A1]&lt;2;&quot;[.x]&quot;;[$&apos;My.Sheet&apos;.B1])\" o:value-type='string'><x:p>y</x:p></t:table-cell></t:table-row></t:table>",
    );
    let document = extract(&bytes, Format::Ods, &Options::default(), &Limits::default())
        .expect("a workbook")
        .output;
    let facts: Vec<_> = document.remarks.iter().map(|r| (r.kind, &*r.anchor, &*r.text)).collect();
    let expected = [
        (RemarkKind::Formula, "C1", "=SUM(A1:$B$1)"),
        (RemarkKind::Formula, "D1", "=IF(A1<2;\"[.x]\";$'My.Sheet'.B1)"),
    ];
    assert_eq!(facts, expected);
}

#[test]
fn what_cells_of_ods_repeat_and_what_they_round_is_said_of_each() {
    let bytes = ods(
        "<t:table t:name='A'><t:table-row t:number-rows-repeated='2'><t:table-cell t:formula='of:=[.$D$1]/3' t:number-columns-repeated='2' o:value-type='percentage' o:value='0.3333'><x:p>33 %</x:p></t:table-cell>\
         <t:table-cell o:value-type='float' o:value='1200'><x:p>1.200,00</x:p></t:table-cell></t:table-row></t:table>",
    );
    let document = extract(&bytes, Format::Ods, &Options::default(), &Limits::default())
        .expect("a workbook")
        .output;
    let facts: Vec<_> = document.remarks.iter().map(|r| (r.kind, &*r.anchor, &*r.text)).collect();
    let cells = ["A1", "B1", "A2", "B2"];
    let expected = cells.map(|cell| (RemarkKind::RawValue, cell, "0.3333")).into_iter();
    let formulas = cells.map(|cell| (RemarkKind::Formula, cell, "=$D$1/3"));
    assert_eq!(facts, expected.chain(formulas).collect::<Vec<_>>());
}

#[test]
fn an_ods_that_repeats_itself_without_end_stops_at_the_limit() {
    let bytes = ods(
        "<t:table t:name='A'><t:table-row t:number-rows-repeated='4000000000'><t:table-cell t:number-columns-repeated='4000000000'><x:p>x</x:p></t:table-cell></t:table-row></t:table>",
    );
    let limits = Limits { sheet_cells_max: 50_000, ..Limits::default() };
    let read = extract(&bytes, Format::Ods, &Options::default(), &limits).expect("a part");
    assert!(read.warnings[0].message.contains("50000 of a sheet"), "{:?}", read.warnings);
}

#[test]
fn damaged_workbooks_of_every_format_are_refused_or_read() {
    // A panic inside calamine costs the child and not the run; here it is caught like one.
    for (name, format) in [
        ("formulas.xls", Format::Xls),
        ("assets.ods", Format::Ods),
        ("formulas.xlsb", Format::Xlsb),
    ] {
        let whole = fixture(&format!("formats/{name}"));
        for step in 0..200 {
            let mut bytes = whole.clone();
            let at = (step * 7919) % bytes.len();
            bytes[at] ^= 0x55;
            let cut = bytes.len() - (step * 31) % bytes.len();
            let read = std::panic::catch_unwind(|| {
                extract(&bytes[..cut], format, &Options::default(), &Limits::default())
            });
            if let Ok(Ok(read)) = read {
                layers_hold(&read.output);
            }
        }
    }
}
