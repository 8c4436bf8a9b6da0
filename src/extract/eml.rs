//! EML → `Document`: headers, the body as a mail program shows it, and what is attached (RFC 5322, MIME).
//! Of alternative bodies the HTML one is read. Signatures are not checked and nothing is decrypted.

use std::collections::BTreeMap;

use mail_parser::decoders::base64::base64_decode;
use mail_parser::decoders::quoted_printable::quoted_printable_decode;
use mail_parser::{
    Address, ContentType, Encoding, HeaderName, HeaderValue, Message, MessageParser, MessagePart,
    MimeHeaders, PartType,
};

use super::attachment::{self, Allowance};
use super::document::{Document, Role};
use super::html;
use super::parts::{Part, Parts, Piece};
use super::{Options, Refusal, RefusalKind, encoding, text};
use crate::base::{Format, Limits, Warned};

/// The headers that are read, in the order in which they are written down.
const HEADERS: [(HeaderName<'static>, &str); 8] = [
    (HeaderName::From, "From"),
    (HeaderName::Sender, "Sender"),
    (HeaderName::ReplyTo, "Reply-To"),
    (HeaderName::To, "To"),
    (HeaderName::Cc, "Cc"),
    (HeaderName::Bcc, "Bcc"),
    (HeaderName::Date, "Date"),
    (HeaderName::Subject, "Subject"),
];

/// Reads a message, or the messages of an mbox file.
pub(super) fn read(
    bytes: &[u8],
    options: &Options,
    limits: &Limits,
) -> Result<Warned<Document>, Refusal> {
    let mut mail = Mail {
        options,
        limits,
        allowance: Allowance::new(limits),
        parts: Parts::new(limits),
        is_encrypted: false,
    };
    let mut properties = BTreeMap::new();
    let messages = messages(bytes);
    let several = messages.len() > 1;
    for (index, message) in messages.into_iter().enumerate() {
        let label = if several { format!("message {}", index + 1) } else { "message".to_owned() };
        let parsed = MessageParser::default().parse(message).ok_or_else(|| {
            Refusal::damaged("no header of a mail in it; give it the ending of what it is")
        })?;
        if index == 0
            && let Some(subject) = parsed.subject()
        {
            properties.insert("title".to_owned(), subject.to_owned());
        }
        if !mail.parts.has_room() {
            mail.parts.skipped(&label, "more messages than pages that are read".to_owned());
            break;
        }
        mail.message(&label, &parsed, 0);
    }
    if mail.parts.is_blank() {
        return Err(Refusal::new(RefusalKind::Empty, "the mail has no header and no text"));
    }
    if mail.is_encrypted && mail.parts.pages.len() == 1 {
        return Err(Refusal::new(
            RefusalKind::Encrypted,
            "the mail is encrypted; save it decrypted from the mail program",
        ));
    }
    let Parts { pages, remarks, warnings, .. } = mail.parts;
    let document = Document { format: Format::Eml, pages, properties, remarks };
    Ok(Warned { output: document, warnings })
}

/// The messages of an mbox file (RFC 4155), or the one that the file is.
fn messages(bytes: &[u8]) -> Vec<&[u8]> {
    if !bytes.starts_with(b"From ") {
        return vec![bytes];
    }
    let line_end = |from: usize| {
        bytes[from..].iter().position(|b| *b == b'\n').map_or(bytes.len(), |at| from + at + 1)
    };
    // A separator follows an empty line and is followed by a header; other lines that start so are text.
    let is_header = |at: usize| {
        let line = &bytes[at..line_end(at)];
        let name = line.iter().position(|b| *b == b':').unwrap_or(0);
        name > 0 && line[..name].iter().all(|b| b.is_ascii_alphanumeric() || *b == b'-')
    };
    let mut messages = Vec::new();
    let mut start = line_end(0);
    let mut at = start;
    let mut after_blank = false;
    while at < bytes.len() {
        let end = line_end(at);
        if after_blank && bytes[at..].starts_with(b"From ") && is_header(end.min(bytes.len())) {
            messages.push(&bytes[start..at]);
            start = end;
        }
        after_blank = bytes[at..end].iter().all(|b| matches!(b, b'\r' | b'\n'));
        at = end;
    }
    messages.push(&bytes[start..]);
    messages
}

/// The document while its messages are read.
struct Mail<'a> {
    options: &'a Options,
    limits: &'a Limits,
    allowance: Allowance,
    parts: Parts<'a>,
    /// Whether a body was found that only a key opens.
    is_encrypted: bool,
}

impl Mail<'_> {
    fn message(&mut self, label: &str, message: &Message<'_>, depth: usize) {
        let mut part = Part { pieces: headers(message), ..Part::default() };
        let has_html =
            message.html_body.iter().any(|id| matches!(body(message, *id), PartType::Html(_)));
        let shown = if has_html { &message.html_body } else { &message.text_body };
        for &id in shown {
            let Some(piece) = message.parts.get(id as usize) else { continue };
            self.body(message, piece, &mut part);
        }
        let attached: Vec<&MessagePart<'_>> = message
            .parts
            .iter()
            .enumerate()
            .filter(|(id, piece)| {
                let id = *id as u32;
                let is_body = message.html_body.contains(&id) || message.text_body.contains(&id);
                let is_text = matches!(piece.body, PartType::Text(_) | PartType::Html(_));
                !(matches!(piece.body, PartType::Multipart(_)) || is_body && is_text)
            })
            .map(|(_, piece)| piece)
            .collect();
        for (index, piece) in attached.iter().enumerate() {
            let name = name(piece, index);
            let size = match &piece.body {
                PartType::Message(_) => "message".to_owned(),
                _ => format!("{}, {} bytes", mime(piece), piece.contents().len()),
            };
            part.pieces.push(Piece {
                role: Role::Annotation,
                text: format!("Attachment: {name} ({size})"),
                label: None,
            });
            if matches!(piece.body, PartType::InlineBinary(_)) || is_inline_picture(piece) {
                part.pictures += usize::from(!has_html);
            }
        }
        self.parts.push(label, part, false);
        for (index, piece) in attached.into_iter().enumerate() {
            self.attached(&name(piece, index), piece, depth);
        }
    }

    fn body(&mut self, message: &Message<'_>, piece: &MessagePart<'_>, part: &mut Part) {
        match &piece.body {
            PartType::Html(decoded) => {
                let charset = charset(piece);
                // Without a stated encoding the page itself may name one.
                let own = match charset {
                    None => raw(message, piece).and_then(|raw| html::decode(&raw, None).ok()),
                    Some(_) => None,
                };
                let text = own.as_ref().map_or(&**decoded, |(text, _, _)| text);
                let page = html::page(text, self.options.view, self.limits).part;
                part.pieces.extend(page.pieces);
                part.hidden.extend(page.hidden);
                part.remarks.extend(page.remarks);
                part.unread.extend(page.unread);
                part.pictures += page.pictures;
                part.cut = part.cut.take().or(page.cut);
            }
            PartType::Text(decoded) => {
                let own = match charset(piece) {
                    None if decoded.contains('\u{FFFD}') => {
                        raw(message, piece).and_then(|raw| encoding::decode(&raw).ok())
                    }
                    _ => None,
                };
                let text = own.as_ref().map_or(&**decoded, |decoded| &decoded.text);
                let text = text.replace("\r\n", "\n").replace(['\r', '\u{C}'], "\n");
                if text.contains('\u{FFFD}') {
                    part.unread.push("characters that do not fit the stated encoding".to_owned());
                }
                part.pieces.extend(text::pieces(&text, false));
            }
            _ => {}
        }
    }

    fn attached(&mut self, name: &str, piece: &MessagePart<'_>, depth: usize) {
        let label = format!("attachment {name}");
        if let PartType::Message(message) = &piece.body {
            if depth + 1 > self.limits.attachment_depth_max {
                let why = format!(
                    "attachment \"{name}\" is not read: it lies deeper than {} in one another",
                    self.limits.attachment_depth_max
                );
                return self.parts.skipped(&label, why);
            }
            if self.allowance.count == 0 || !self.parts.has_room() {
                let why = "the document holds too many attachments";
                return self.parts.skipped(&label, why.to_owned());
            }
            self.allowance.count -= 1;
            return self.message(&label, message, depth + 1);
        }
        let mime = mime(piece);
        match mime.as_str() {
            "application/pgp-encrypted" | "application/pkcs7-mime" | "application/x-pkcs7-mime"
                if !is_signed_only(piece) =>
            {
                self.is_encrypted = true;
                return self.parts.skipped(&label, format!("\"{name}\" is encrypted"));
            }
            "application/pgp-signature"
            | "application/pkcs7-signature"
            | "application/x-pkcs7-signature" => return,
            _ if is_inline_picture(piece) => return,
            _ => {}
        }
        let bytes: Vec<u8> = match &piece.body {
            PartType::Text(text) | PartType::Html(text) => text.as_bytes().to_vec(),
            PartType::Binary(bytes) | PartType::InlineBinary(bytes) => bytes.to_vec(),
            PartType::Message(_) | PartType::Multipart(_) => return,
        };
        let place = (depth + 1, &mut self.allowance);
        attachment::read((name, &mime), &bytes, self.options, self.limits, place, &mut self.parts);
    }
}

fn body<'m, 'x>(message: &'m Message<'x>, id: u32) -> &'m PartType<'x> {
    static NOTHING: PartType<'static> = PartType::Multipart(Vec::new());
    message.parts.get(id as usize).map_or(&NOTHING, |part| &part.body)
}

/// A block for each header that mail programs show; the subject is the message's heading.
fn headers(message: &Message<'_>) -> Vec<Piece> {
    let Some(root) = message.parts.first() else { return Vec::new() };
    let mut pieces = Vec::new();
    for (name, word) in &HEADERS {
        for header in root.headers.iter().filter(|header| header.name == *name) {
            let raw = message
                .raw_message
                .get(header.offset_start as usize..header.offset_end as usize)
                .map(|raw| unfolded(&String::from_utf8_lossy(raw)))
                .unwrap_or_default();
            let value = match &header.value {
                HeaderValue::Address(address) => addresses(address),
                HeaderValue::Text(text) => unfolded(text),
                HeaderValue::TextList(texts) => texts.join(", "),
                _ => raw.clone(),
            };
            let value = if value.is_empty() { raw } else { value };
            if !value.is_empty() {
                let role = if *word == "Subject" { Role::Heading(1) } else { Role::Paragraph };
                pieces.push(Piece { role, text: format!("{word}: {value}"), label: None });
            }
        }
    }
    pieces
}

/// A header value in one line.
fn unfolded(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn addresses(address: &Address<'_>) -> String {
    let one = |address: &mail_parser::Addr<'_>| match (address.name(), address.address()) {
        (Some(name), Some(at)) => format!("{} <{at}>", unfolded(name)),
        (Some(only), None) | (None, Some(only)) => unfolded(only),
        (None, None) => String::new(),
    };
    let list = |list: &[mail_parser::Addr<'_>]| list.iter().map(one).collect::<Vec<_>>().join(", ");
    match address {
        Address::List(members) => list(members),
        Address::Group(groups) => {
            let group = |group: &mail_parser::Group<'_>| match &group.name {
                Some(name) => format!("{name}: {};", list(&group.addresses)),
                None => list(&group.addresses),
            };
            groups.iter().map(group).collect::<Vec<_>>().join(", ")
        }
    }
}

fn name(piece: &MessagePart<'_>, index: usize) -> String {
    let subject = match &piece.body {
        PartType::Message(message) => message.subject(),
        _ => None,
    };
    let name = piece.attachment_name().or(subject).map(unfolded).unwrap_or_default();
    // A name is one: where it would lie on someone's disk is nobody's business.
    let name: String = name.rsplit(['/', '\\']).next().unwrap_or("").chars().take(200).collect();
    if name.is_empty() { format!("{}", index + 1) } else { name }
}

fn mime(piece: &MessagePart<'_>) -> String {
    let word = |kind: &ContentType<'_>| match kind.subtype() {
        Some(subtype) => format!("{}/{subtype}", kind.ctype()).to_ascii_lowercase(),
        None => kind.ctype().to_ascii_lowercase(),
    };
    piece.content_type().map_or_else(|| "text/plain".to_owned(), word)
}

fn charset<'m>(piece: &'m MessagePart<'_>) -> Option<&'m str> {
    piece.content_type()?.attribute("charset")
}

/// A picture that the body shows and that was not attached as a document: a logo, most often.
fn is_inline_picture(piece: &MessagePart<'_>) -> bool {
    let attached = piece.content_disposition().is_some_and(ContentType::is_attachment);
    mime(piece).starts_with("image/") && !attached
}

/// S/MIME that wraps a readable message in its signature; what it holds is not opened here.
fn is_signed_only(piece: &MessagePart<'_>) -> bool {
    piece
        .content_type()
        .and_then(|kind| kind.attribute("smime-type"))
        .is_some_and(|kind| kind.eq_ignore_ascii_case("signed-data"))
}

/// The bytes of a part with its transfer encoding undone, none where that fails.
fn raw(message: &Message<'_>, piece: &MessagePart<'_>) -> Option<Vec<u8>> {
    let range = piece.offset_body as usize..piece.offset_end as usize;
    let raw = message.raw_message.get(range)?;
    match piece.encoding {
        Encoding::None => Some(raw.to_vec()),
        Encoding::QuotedPrintable => quoted_printable_decode(raw),
        Encoding::Base64 => base64_decode(raw),
    }
}
