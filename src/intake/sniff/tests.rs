//! Formats named by content: each test builds the bytes that it names.

use std::io::Write;
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;

/// Names `content` as a file called `path`.
fn named(path: &str, content: &[u8]) -> Named {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let nth = COUNT.fetch_add(1, Ordering::Relaxed);
    let file = std::env::temp_dir().join(format!("nightclerk-sniff-{}-{nth}", std::process::id()));
    std::fs::write(&file, content).expect("the temporary folder is writable");
    let opened = File::open(&file).expect("just written");
    std::fs::remove_file(&file).expect("just written");
    name(path, &content[..content.len().min(64 * 1024)], &opened, content.len() as u64)
}

fn format(path: &str, content: &[u8]) -> Format {
    named(path, content).format
}

fn zipped(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let stored =
        zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, content) in entries {
        zip.start_file(*name, stored).expect("in memory");
        zip.write_all(content).expect("in memory");
    }
    zip.finish().expect("in memory").into_inner()
}

/// An OLE2 file of one directory sector and one FAT sector, with these stream names.
fn ole2(names: &[&str]) -> Vec<u8> {
    let mut bytes = vec![0u8; 512 * 4];
    bytes[..8].copy_from_slice(&[0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1]);
    bytes[30] = 9; // sectors of 512 bytes
    bytes[48] = 1; // the directory begins in sector 1
    bytes[76] = 0; // the FAT is sector 0
    for (entry, next) in [0xffff_fffdu32, 2, 0xffff_fffe].into_iter().enumerate() {
        bytes[512 + 4 * entry..516 + 4 * entry].copy_from_slice(&next.to_le_bytes());
    }
    for (nth, name) in names.iter().enumerate() {
        let at = 1024 + 128 * nth; // the fifth lies in the directory's second sector
        for (unit, letter) in name.encode_utf16().enumerate() {
            bytes[at + 2 * unit..at + 2 * unit + 2].copy_from_slice(&letter.to_le_bytes());
        }
        bytes[at + 64] = 2 * (name.len() as u8 + 1);
        bytes[at + 66] = 2;
    }
    bytes
}

#[test]
fn content_names_the_format_whatever_the_ending_says() {
    let docx = zipped(&[("[Content_Types].xml", b"<x/>"), ("word/document2.xml", b"<x/>")]);
    assert_eq!(format("a.pdf", &docx), Format::Docx);
    assert_eq!(named("a.pdf", &docx).note, "named .pdf, but its content is docx: taken as docx");
    assert_eq!(
        named("a.docx", &docx),
        Named { format: Format::Docx, note: String::new(), refusal: None }
    );
    assert_eq!(format("a", b"garbage\n%PDF-1.4\n"), Format::Pdf);
    assert_eq!(format("a.xlsx", &zipped(&[("xl/workbook.xml", b"")])), Format::Xlsx);
    assert_eq!(format("a.xlsx", &zipped(&[("xl/workbook.bin", b"")])), Format::Xlsb);
    assert_eq!(format("a", &zipped(&[("ppt/presentation.xml", b"")])), Format::Pptx);
    assert_eq!(format("a.docx", &zipped(&[("lease.pdf", b"")])), Format::Zip);
    let ods: &[u8] = b"application/vnd.oasis.opendocument.spreadsheet";
    assert_eq!(format("a.zip", &zipped(&[("mimetype", ods)])), Format::Ods);
    assert_eq!(format("a.doc", b"{\\rtf1\\ansi}"), Format::Rtf);
}

#[test]
fn an_open_document_is_known_by_its_parts_where_its_media_type_is_elsewhere() {
    let parts: [(&str, &[u8]); 3] =
        [("content.xml", b"<x/>"), ("META-INF/manifest.xml", b"<x/>"), ("mimetype", b"")];
    assert_eq!(format("a.odt", &zipped(&parts)), Format::Odt);
    assert_eq!(format("a.ods", &zipped(&parts)), Format::Ods);
    let refusal = named("a.odp", &zipped(&parts)).refusal.unwrap_or_default();
    assert!(refusal.contains("(.odp)") && !refusal.contains("archives"), "{refusal}");
}

#[test]
fn a_container_that_was_cut_off_is_named_by_what_is_left() {
    let whole = zipped(&[("[Content_Types].xml", b"<x/>"), ("word/document.xml", b"<x/>")]);
    let cut = named("a.bin", &whole[..whole.len() - 120]);
    assert_eq!(cut.format, Format::Docx);
    assert!(cut.note.contains("cut off"), "{}", cut.note);
    assert_eq!(format("a.xlsx", &whole[..40]), Format::Xlsx);
}

#[test]
fn old_office_files_are_told_apart_by_their_streams() {
    assert_eq!(format("a", &ole2(&["Root Entry", "WordDocument"])), Format::Doc);
    assert_eq!(format("a.doc", &ole2(&["Root Entry", "a", "b", "c", "Workbook"])), Format::Xls);
    assert_eq!(format("a", &ole2(&["Root Entry", "__properties_version1.0"])), Format::Msg);
    let locked = named("a.xlsx", &ole2(&["Root Entry", "EncryptionInfo", "EncryptedPackage"]));
    assert_eq!(locked.format, Format::Xlsx);
    assert!(locked.refusal.expect("refused").contains("encrypted"));
}

#[test]
fn text_in_any_encoding_is_text_and_the_ending_says_of_which_kind() {
    let utf_16: Vec<u8> =
        "Name;Betrag\nMüller;3\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(format("a.csv", &utf_16), Format::Csv);
    assert_eq!(format("a.csv", b"Name;Betrag\nM\xfcller;3\n"), Format::Csv);
    assert_eq!(format("a.md", "# Überschrift".as_bytes()), Format::Markdown);
    assert_eq!(format("a.txt", "\u{feff}Καλημέρα".as_bytes()), Format::Text);
    assert_eq!(format("a", b"plain"), Format::Text);
    assert_eq!(named("a.csv", b"a,b").note, "");
    assert_eq!(format("a.txt", b"\x00\x01\x02\x03binary\xff\x00\x9c\x1f\x07"), Format::Unknown);
}

#[test]
fn a_memo_is_no_mail() {
    let memo = b"To: all\nFrom: the office\nDate: today\nRe: keys\n\nPlease return them.\n";
    assert_eq!(format("memo.txt", memo), Format::Text);
    let mail = b"Return-Path: <a@b>\nReceived: from x\n by y\nSubject: keys\n\nPlease.\n";
    assert_eq!(format("keys.txt", mail), Format::Eml);
    assert_eq!(format("memo.eml", memo), Format::Eml);
}

#[test]
fn what_is_not_read_is_refused_by_name_with_a_way_out() {
    let refusal = |path, content: &[u8]| named(path, content).refusal.expect("refused");
    assert!(refusal("a.doc", &ole2(&["WordDocument"])).contains("doc is not read yet"));
    assert!(refusal("a.jpg", b"\xff\xd8\xff\xe0").contains("image"));
    assert!(refusal("a.pdf", b"").contains("empty"));
    let unknown = refusal("a.pdf", b"\x00\x01\x02\x03\x04\x05");
    assert!(unknown.contains("nothing in it is pdf"), "{unknown}");
}
