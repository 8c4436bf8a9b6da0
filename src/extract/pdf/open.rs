//! The way into a file: as written, with a password, or repaired. hayro-syntax opens; lopdf is asked
//! only where hayro cannot, so an ordinary file is parsed once.

use hayro_interpret::hayro_syntax::object::{Array, Dict, Name};
use hayro_interpret::hayro_syntax::{DecryptionError, LoadPdfError, Pdf};
use lopdf::LoadOptions;

use crate::base::{Warned, Warning};
use crate::extract::{Options, Refusal, RefusalKind};

/// How far from the end of the file `startxref` is looked for (PDF 2.0, annex: 1024 by Acrobat).
const TAIL_BYTES: usize = 2048;

/// Opens `bytes`, trying the empty user password, then `options.password`, then repair.
pub(super) fn open(bytes: &[u8], options: &Options) -> Result<Warned<Pdf>, Refusal> {
    if bytes.is_empty() {
        return Err(refusal(RefusalKind::Empty, "the file has no bytes"));
    }
    match Pdf::new(bytes.to_vec()) {
        Ok(pdf) => {
            let warnings = damage(bytes, &pdf);
            Ok(Warned { output: pdf, warnings })
        }
        Err(LoadPdfError::Decryption(error)) => unlock(bytes, options, error),
        Err(LoadPdfError::Invalid) => repair(bytes, options),
    }
}

fn unlock(bytes: &[u8], options: &Options, error: DecryptionError) -> Result<Warned<Pdf>, Refusal> {
    let is_locked = matches!(error, DecryptionError::PasswordProtected);
    if let Some(password) = &options.password {
        if let Ok(pdf) = Pdf::new_with_password(bytes.to_vec(), password) {
            return Ok(Warned { output: pdf, warnings: Vec::new() });
        }
        // hayro knows user passwords only before revision 5; lopdf knows the owner's too.
        if let Ok(rebuilt) = rebuild(bytes, Some(password), false)
            && let Ok(pdf) = Pdf::new(rebuilt)
        {
            return Ok(Warned { output: pdf, warnings: Vec::new() });
        }
    } else if !is_locked
        && let Ok(rebuilt) = rebuild(bytes, None, false)
        && let Ok(pdf) = Pdf::new(rebuilt)
    {
        let warning = Warning::document("its encryption is unusual; it was opened in a second way");
        return Ok(Warned { output: pdf, warnings: vec![warning] });
    }
    Err(match (is_locked, &options.password) {
        (true, None) => refusal(
            RefusalKind::Encrypted,
            "the PDF needs a password to be opened; set `password` in the job",
        ),
        (true, Some(_)) => refusal(
            RefusalKind::Encrypted,
            "the PDF needs a password and the configured one does not open it; correct `password` \
             in the job",
        ),
        (false, _) => refusal(
            RefusalKind::Encrypted,
            "the PDF is encrypted in a way that cannot be read; save an unencrypted copy",
        ),
    })
}

fn repair(bytes: &[u8], options: &Options) -> Result<Warned<Pdf>, Refusal> {
    let password = options.password.as_deref();
    let repaired = rebuild(bytes, password, true).ok().and_then(|bytes| Pdf::new(bytes).ok());
    match repaired {
        Some(pdf) if !pdf.pages().is_empty() => {
            let message = format!(
                "the PDF is damaged; {} pages were rebuilt from the objects found in it, others may \
                 be missing",
                pdf.pages().len()
            );
            Ok(Warned { output: pdf, warnings: vec![Warning::document(message)] })
        }
        _ if !bytes[..bytes.len().min(1024)].windows(5).any(|w| w == b"%PDF-") => {
            Err(refusal(RefusalKind::Damaged, "no PDF: it does not start with %PDF-"))
        }
        _ => Err(refusal(
            RefusalKind::Damaged,
            "the PDF is damaged beyond repair: no page could be found in it",
        )),
    }
}

/// The file with all of its optional content shown, where some is switched off: what a reader of the
/// page does not see is what only this one has.
pub(super) fn with_all_layers(bytes: &[u8], options: &Options, pdf: &Pdf) -> Option<Pdf> {
    if !pdf.xref().has_optional_content_groups() {
        return None;
    }
    let catalog = pdf.xref().get::<Dict<'_>>(pdf.xref().root_id())?;
    let config = catalog.get::<Dict<'_>>("OCProperties")?.get::<Dict<'_>>("D")?;
    let some_off =
        config.get::<Array<'_>>("OFF").is_some_and(|off| off.raw_iter().next().is_some());
    let all_off = config.get::<Name<'_>>("BaseState").is_some_and(|state| state.as_str() == "OFF");
    if !some_off && !all_off {
        return None;
    }
    let mut document = load(bytes, options.password.as_deref(), false).ok()?;
    document.catalog_mut().ok()?.remove(b"OCProperties");
    Pdf::new(write(document, bytes.len()).ok()?).ok()
}

/// The file as lopdf understands it, decrypted and written anew.
fn rebuild(bytes: &[u8], password: Option<&str>, reconstruct: bool) -> lopdf::Result<Vec<u8>> {
    write(load(bytes, password, reconstruct)?, bytes.len())
}

fn load(bytes: &[u8], password: Option<&str>, reconstruct: bool) -> lopdf::Result<lopdf::Document> {
    let options = LoadOptions {
        password: password.map(str::to_owned),
        force_reconstruct: reconstruct,
        ..LoadOptions::default()
    };
    let mut document = lopdf::Document::load_mem_with_options(bytes, options)?;
    document.trailer.remove(b"Encrypt");
    Ok(document)
}

fn write(mut document: lopdf::Document, about: usize) -> lopdf::Result<Vec<u8>> {
    let mut rebuilt = Vec::with_capacity(about);
    document.save_to(&mut rebuilt)?;
    Ok(rebuilt)
}

/// What is wrong with a file that hayro opened, which repairs without a word.
fn damage(bytes: &[u8], pdf: &Pdf) -> Vec<Warning> {
    let mut warnings = Vec::new();
    if !table_is_where_it_should_be(bytes) {
        warnings.push(Warning::document(
            "the PDF is damaged: its object table is missing or misplaced, so the objects were \
             searched for; pages may be missing",
        ));
    }
    let in_tree = pdf
        .xref()
        .get::<Dict<'_>>(pdf.xref().root_id())
        .and_then(|catalog| catalog.get::<Dict<'_>>("Pages"))
        .and_then(|pages| pages.get::<u32>("Count"));
    let found = pdf.pages().len();
    if let Some(stated) = in_tree.max(linearized_pages(bytes))
        && stated as usize > found
    {
        warnings.push(Warning::document(format!(
            "the PDF says that it has {stated} pages, and {found} could be found"
        )));
    }
    warnings
}

/// The number of pages that a linearized file states in its first object (ISO 32000-2, annex F).
fn linearized_pages(bytes: &[u8]) -> Option<u32> {
    let head = String::from_utf8_lossy(&bytes[..bytes.len().min(1024)]);
    let (_, dictionary) = head.split_once("/Linearized")?;
    let (dictionary, _) = dictionary.split_once(">>")?;
    let (_, number) = dictionary.split_once("/N ")?;
    number.trim_start().split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// Whether the last `startxref` points at a cross-reference table or stream.
fn table_is_where_it_should_be(bytes: &[u8]) -> bool {
    let tail = &bytes[bytes.len().saturating_sub(TAIL_BYTES)..];
    let Some(at) = tail.windows(9).rposition(|w| w == b"startxref") else { return false };
    let digits: String = tail[at + 9..]
        .iter()
        .map(|&b| b as char)
        .skip_while(|c| c.is_ascii_whitespace())
        .take_while(char::is_ascii_digit)
        .collect();
    let Ok(offset) = digits.parse::<usize>() else { return false };
    // Offsets count from the header, which may stand behind other bytes.
    let header = bytes[..bytes.len().min(1024)].windows(5).position(|w| w == b"%PDF-").unwrap_or(0);
    [offset, offset.saturating_add(header)].iter().any(|&offset| {
        let Some(rest) = bytes.get(offset..) else { return false };
        let first = rest.iter().position(|b| !b.is_ascii_whitespace()).unwrap_or(rest.len());
        let rest = &rest[first..];
        rest.starts_with(b"xref") || rest.first().is_some_and(u8::is_ascii_digit)
    })
}

fn refusal(kind: RefusalKind, message: &str) -> Refusal {
    Refusal { kind, message: message.to_owned() }
}
