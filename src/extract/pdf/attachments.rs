//! Files inside a PDF (ISO 32000-2, 7.11.4): those of its name tree and of file annotations. Each is read as
//! pages after the document's own, or is a skipped page that says why not.

use hayro_interpret::hayro_syntax::Pdf;
use hayro_interpret::hayro_syntax::object::{
    Array, Dict, Name, Object, ObjectIdentifier, Stream, String as PdfString,
};

use super::properties::text_string;
use crate::base::Limits;
use crate::extract::Options;
use crate::extract::attachment::{self, Allowance};
use crate::extract::parts::Parts;

/// Nodes deeper than this in a name tree are damage.
const DEPTH_MAX: usize = 16;

/// Appends what is attached to `pdf` to `parts`.
pub(super) fn read(pdf: &Pdf, options: &Options, limits: &Limits, parts: &mut Parts<'_>) {
    let mut files = Files { found: Vec::new(), most: limits.attachments_max };
    if let Some(catalog) = pdf.xref().get::<Dict<'_>>(pdf.xref().root_id()) {
        if let Some(names) = catalog.get::<Dict<'_>>("Names")
            && let Some(tree) = names.get::<Dict<'_>>("EmbeddedFiles")
        {
            files.walk(&tree, 0);
        }
        files.take_all(catalog.get::<Array<'_>>("AF"));
    }
    for page in pdf.pages().iter() {
        files.take_all(page.raw().get::<Array<'_>>("AF"));
        let annotations = page.raw().get::<Array<'_>>("Annots");
        for annotation in annotations.into_iter().flat_map(|list| list.iter::<Dict<'_>>()) {
            if let Some(file) = annotation.get::<Dict<'_>>("FS") {
                files.take(&file);
            }
        }
    }
    let mut allowance = Allowance::new(limits);
    for (name, stream) in files.found {
        let mime = stream.dict().get::<Name<'_>>("Subtype");
        let mime = mime.map(|mime| mime.as_str().to_ascii_lowercase()).unwrap_or_default();
        match stream.decoded_data() {
            Ok(bytes) => {
                let depth = (1, &mut allowance);
                attachment::read((&name, &mime), &bytes, options, limits, depth, parts);
            }
            Err(_) => {
                let why = format!("attachment \"{name}\" is not read: it cannot be decoded");
                parts.skipped(&format!("attachment {name}"), why);
            }
        }
    }
}

/// Embedded files in the order found, each once.
struct Files<'a> {
    found: Vec<(String, Stream<'a>)>,
    most: usize,
}

impl<'a> Files<'a> {
    fn walk(&mut self, node: &Dict<'a>, depth: usize) {
        if depth > DEPTH_MAX {
            return;
        }
        if let Some(pairs) = node.get::<Array<'_>>("Names") {
            // Names and file specifications in turn.
            for entry in pairs.iter::<Object<'_>>() {
                if let Object::Dict(file) = entry {
                    self.take(&file);
                }
            }
        }
        let kids = node.get::<Array<'_>>("Kids");
        for kid in kids.into_iter().flat_map(|kids| kids.iter::<Dict<'_>>()) {
            self.walk(&kid, depth + 1);
        }
    }

    fn take_all(&mut self, files: Option<Array<'a>>) {
        for file in files.into_iter().flat_map(|files| files.iter::<Dict<'_>>()) {
            self.take(&file);
        }
    }

    fn take(&mut self, file: &Dict<'a>) {
        let Some(content) = file.get::<Dict<'_>>("EF") else { return };
        let keys = ["UF", "F", "Unix", "DOS", "Mac"];
        let Some(stream) = keys.iter().find_map(|key| content.get::<Stream<'_>>(key)) else {
            return;
        };
        let id: ObjectIdentifier = stream.obj_id();
        if self.found.len() >= self.most || self.found.iter().any(|(_, s)| s.obj_id() == id) {
            return;
        }
        let name = keys.iter().find_map(|key| file.get::<PdfString<'_>>(key));
        let name = name.map(|name| text_string(name.as_bytes())).unwrap_or_default();
        let name = name.trim().replace(['\n', '\r', '\t'], " ");
        self.found.push((if name.is_empty() { "unnamed".to_owned() } else { name }, stream));
    }
}
