//! Mail: headers, the body that a mail program shows, attachments by the same readers, all within limits.

use nightclerk::base::{Format, Limits, Warned};
use nightclerk::extract::{Document, Options, PageState, RefusalKind, Role, extract};
use proptest::prelude::*;

use crate::layers::layers_hold;

fn read_with(bytes: &[u8], limits: &Limits) -> Warned<Document> {
    let read = extract(bytes, Format::Eml, &Options::default(), limits);
    let read = read.unwrap_or_else(|refusal| panic!("{refusal}"));
    layers_hold(&read.output);
    read
}

fn read(bytes: &[u8]) -> Warned<Document> {
    read_with(bytes, &Limits::default())
}

pub fn base64(bytes: &[u8]) -> String {
    const SIGNS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let bits =
            three.iter().fold(0u32, |bits, b| bits << 8 | u32::from(*b)) << (8 * (3 - three.len()));
        for at in 0..4 {
            let sign = char::from(SIGNS[(bits >> (18 - 6 * at)) as usize & 63]);
            text.push(if at > three.len() { '=' } else { sign });
        }
        if text.len() % 77 == 76 {
            text.push('\n');
        }
    }
    text
}

fn fixture(name: &str) -> Vec<u8> {
    let path = format!("{}/fixtures/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

const HEAD: &str = "From: =?utf-8?q?J=C3=BCrgen_Wei=C3=9F?= <jw@example.com>\r\n\
    To: a@example.com,\r\n \"Board, The\" <b@example.com>\r\n\
    Subject: =?iso-8859-1?B?S/xuZGlndW5n?= of the\r\n lease\r\n\
    Date: Mon, 1 Jul 2024 10:00:00 +0200\r\nMIME-Version: 1.0\r\n";

#[test]
fn headers_and_a_quoted_printable_body_are_read() {
    let mail = HEAD.to_owned()
        + "Content-Type: text/plain; charset=windows-1252\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n\
           The fee is 5 =80 per=\r\n month.\r\n\r\n> 1. Scope\r\n";
    let read = read(mail.as_bytes());
    let page = &read.output.pages[0];
    assert_eq!(
        page.verbatim,
        "From: Jürgen Weiß <jw@example.com>\n\nTo: a@example.com, Board, The <b@example.com>\n\n\
         Date: Mon, 1 Jul 2024 10:00:00 +0200\n\nSubject: Kündigung of the lease\n\n\
         The fee is 5 € per month.\n\n> 1. Scope"
    );
    assert_eq!(page.blocks[3].role, Role::Heading(1));
    assert_eq!(read.warnings, []);
}

#[test]
fn of_two_bodies_the_shown_one_is_read_and_its_hidden_text_kept_apart() {
    let mail = HEAD.to_owned()
        + "Content-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nplain\r\n\
           --b\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>shown<p style='display:none'>preheader\r\n--b--\r\n";
    let read = read(mail.as_bytes());
    let page = &read.output.pages[0];
    assert!(page.verbatim.ends_with("lease\n\nshown"), "{}", page.verbatim);
    assert_eq!(page.hidden[0].text.trim(), "preheader");
    assert_eq!(read.output.pages.len(), 1);
}

#[test]
fn attachments_and_enclosed_messages_are_pages_of_the_mail() {
    let docx = fixture("inbox/lease-amendment.docx");
    let pdf = fixture("inbox/services-agreement.pdf");
    let mail = HEAD.to_owned()
        + "Content-Type: multipart/mixed; boundary=\"x y\"\r\n\r\n--x y\r\n\r\nSee attached.\r\n--x y\r\n"
        + "Content-Type: application/octet-stream; name*=utf-8''f%C3%BCnf.docx\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: attachment\r\n\r\n"
        + &base64(&docx)
        + "\r\n--x y\r\nContent-Type: application/pdf; name=\"../a.pdf\"\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        + &base64(&pdf)
        + "\r\n--x y\r\nContent-Type: message/rfc822\r\n\r\nFrom: c@example.com\r\nSubject: inner\r\n\r\nInner text.\r\n"
        + "\r\n--x y\r\nContent-Type: application/x-thing; name=thing.bin\r\nContent-Disposition: attachment\r\n\r\n\x01\x02\r\n--x y--\r\n";
    let read = read(mail.as_bytes());
    let labels: Vec<&str> = read.output.pages.iter().map(|page| page.label.as_str()).collect();
    assert_eq!(labels[0], "message");
    assert_eq!(labels[1], "attachment fünf.docx, document");
    assert!(labels.contains(&"attachment a.pdf, page 1"), "{labels:?}");
    let page = |label: &str| {
        read.output
            .pages
            .iter()
            .find(|page| page.label == label)
            .unwrap_or_else(|| panic!("{labels:?}"))
    };
    assert!(
        page(labels[0])
            .verbatim
            .contains("See attached.\n\nAttachment: fünf.docx (application/octet-stream, ")
    );
    assert!(page(labels[1]).verbatim.contains("Calloway Street"));
    assert!(page("attachment inner").verbatim.ends_with("Subject: inner\n\nInner text."));
    assert!(matches!(page("attachment thing.bin").state, PageState::Skipped(_)));
}

#[test]
fn an_mbox_file_is_read_message_by_message() {
    let mbox = "From a@x Mon\nSubject: one\n\nFirst.\nFrom here on.\n\nFrom a@x Tue\nSubject: two\n\nSecond.\n";
    let read = read(mbox.as_bytes());
    let texts: Vec<&str> = read.output.pages.iter().map(|page| page.verbatim.as_str()).collect();
    assert_eq!(texts, ["Subject: one\n\nFirst.\nFrom here on.", "Subject: two\n\nSecond."]);
}

#[test]
fn an_encrypted_mail_is_refused_as_such() {
    let mail = HEAD.to_owned()
        + "Content-Type: application/pkcs7-mime; smime-type=enveloped-data; name=smime.p7m\r\nContent-Transfer-Encoding: base64\r\n\r\nAAAA\r\n";
    let read = extract(mail.as_bytes(), Format::Eml, &Options::default(), &Limits::default());
    let pages = read.map(|read| read.output.pages);
    match pages {
        Ok(pages) => assert!(matches!(pages[1].state, PageState::Skipped(_)), "{pages:?}"),
        Err(refusal) => assert_eq!(refusal.kind, RefusalKind::Encrypted),
    }
}

#[test]
fn bytes_without_a_stated_encoding_are_still_letters() {
    let mut mail = HEAD.as_bytes().to_vec();
    mail.extend(b"\r\nDie Gr\xf6\xdfe \xfcberrascht.\r\n");
    let read = read(&mail);
    assert!(read.output.pages[0].verbatim.ends_with("Die Größe überrascht."));
}

#[test]
fn nesting_ends_at_its_limit_and_says_so() {
    let depth = 500;
    let mut mail = String::new();
    for n in 0..depth {
        mail += &format!(
            "Subject: level {n}\r\nContent-Type: multipart/mixed; boundary=b{n}\r\n\r\n--b{n}\r\nContent-Type: message/rfc822\r\n\r\n"
        );
    }
    mail += "Subject: last\r\n\r\ntext";
    let read = read(mail.as_bytes());
    assert_eq!(read.output.pages.len(), 5);
    let last = &read.output.pages[4];
    assert!(
        matches!(&last.state, PageState::Skipped(why) if why.contains("deeper than 3")),
        "{last:?}"
    );

    let many = HEAD.to_owned() + "Content-Type: multipart/mixed; boundary=b\r\n\r\n"
        + &"--b\r\nContent-Type: text/plain; name=a.txt\r\nContent-Disposition: attachment\r\n\r\nx\r\n".repeat(50);
    let limits = Limits { attachments_max: 20, ..Limits::default() };
    let read = read_with(many.as_bytes(), &limits);
    let skipped =
        read.output.pages.iter().filter(|page| matches!(page.state, PageState::Skipped(_)));
    assert_eq!(skipped.count(), 30);
    let limits = Limits { pages_max: 5, ..Limits::default() };
    assert!(read_with(many.as_bytes(), &limits).output.pages.len() <= 6);
}

#[test]
fn a_bomb_in_an_attachment_costs_that_attachment() {
    let mail = HEAD.to_owned()
        + "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nSeen.\r\n--b\r\nContent-Type: application/zip; name=a.docx\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        + &base64(&fixture("damaged/zip-bomb.docx"))
        + "\r\n--b--\r\n";
    let read = read(mail.as_bytes());
    assert!(read.output.pages[0].verbatim.contains("Seen."));
    assert!(
        matches!(&read.output.pages[1].state, PageState::Skipped(why) if why.contains("inflates"))
    );
}

proptest! {
    #[test]
    fn any_mail_is_read_or_refused_and_the_layers_hold(
        pieces in prop::collection::vec(prop::sample::select(&[
            "From: a\r\n", "Subject: =?utf-8?q?=?=\r\n", "Content-Type: multipart/mixed; boundary=b\r\n",
            "Content-Type: multipart/alternative; boundary=c\r\n", "--b\r\n", "--c\r\n", "--b--\r\n", "\r\n",
            "Content-Type: text/html\r\n", "Content-Type: message/rfc822\r\n", "Content-Transfer-Encoding: base64\r\n",
            "Content-Transfer-Encoding: quoted-printable\r\n", "=3D=\r\n", "AAAA", "<p>x", "\u{e9}", "text\r\n",
            "Content-Disposition: attachment; filename=a.csv\r\n", " folded\r\n",
        ][..]), 0..40),
    ) {
        let mail = pieces.concat();
        if let Ok(read) = extract(mail.as_bytes(), Format::Eml, &Options::default(), &Limits::default()) {
            layers_hold(&read.output);
        }
    }
}
