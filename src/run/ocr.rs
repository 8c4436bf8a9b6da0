//! Text recognition by tesseract, where it is wanted and there: what is known of the program, and the text
//! of one page's picture. Not which pages need it; that is `read`'s.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::assemble::OcrFacts;
use crate::base::limits::{OCR_ANSWER_BYTES_MAX, OCR_KEPT_BYTES_MAX, OCR_PIXELS_MAX};
use crate::base::{Digest, Limits};
use crate::isolate::{Program, ProgramServer, Reach};
use crate::jobs::Ocr;

/// Where programs lie if nobody says.
const PATH_DEFAULT: &str = "/usr/local/bin:/usr/bin:/bin";

/// What a program needs of the machine to be loaded.
const LOADER: [&str; 6] =
    ["/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache"];

/// Where tesseract's data lies, by how it was installed, below the folder that holds its `bin`.
const DATA: [&str; 2] = ["share/tesseract-ocr", "share/tessdata"];

/// Lines of a page rather than of a photograph; the newer of tesseract's two engines (LSTM).
const SETTINGS: [&str; 8] =
    ["--psm", "3", "--oem", "1", "--dpi", "300", "-c", "tessedit_create_tsv=1"];

/// A tesseract that was found.
pub(super) struct Recognizer {
    program: ProgramServer,
    pub(super) facts: OcrFacts,
    limits: Limits,
    /// The tables of pictures that were recognized, by the pictures' digests.
    known: BTreeMap<Digest, String>,
    known_bytes: usize,
}

impl Recognizer {
    /// Looks for the program and starts its server: before this process is isolated or has a second thread.
    ///
    /// # Errors
    /// Why there will be no text recognition, and what would change that.
    pub(super) fn start(ocr: &Ocr, limits: &Limits) -> Result<Recognizer, String> {
        let path = find(&ocr.program)
            .ok_or_else(|| format!("there is no program {}", ocr.program.display()))?;
        let reach = reach(&path);
        let mut program = ProgramServer::start(Program { path, reach })
            .map_err(|error| format!("its process cannot be started: {error}"))?;
        let limits = Limits { output_bytes_max: OCR_ANSWER_BYTES_MAX, ..limits.clone() };
        let mut told = |question: &str| {
            let told = program.run(&[], &[question], &limits);
            let told =
                told.map_err(|why| format!("{} {question}: {why}", ocr.program.display()))?;
            Ok::<String, String>(String::from_utf8_lossy(&told).into_owned())
        };
        let version = told("--version")?;
        let version = version.lines().next().unwrap_or_default().trim().to_owned();
        let folder = data_folder(&told("--list-langs")?)
            .ok_or_else(|| format!("{version} does not say where its data lies"))?;
        let data = data_digest(&folder, &ocr.languages)?;
        let facts = OcrFacts { program: version, languages: ocr.languages.join("+"), data };
        Ok(Recognizer { program, facts, limits, known: BTreeMap::new(), known_bytes: 0 })
    }

    pub(super) fn program(&mut self) -> &mut ProgramServer {
        &mut self.program
    }

    /// The table of words in `picture`.
    ///
    /// # Errors
    /// Why there is none: a sentence without a final dot.
    pub(super) fn table(&mut self, picture: &[u8]) -> Result<String, String> {
        // What is drawn is drawn by a process that a document may have taken over: nothing but a plain
        // grey map is handed on.
        if !is_grey_map(picture) {
            return Err("its picture is none".to_owned());
        }
        let digest = Digest::of(picture);
        if let Some(known) = self.known.get(&digest) {
            return Ok(known.clone());
        }
        let mut arguments = vec!["stdin", "stdout", "-l", &self.facts.languages];
        arguments.extend(SETTINGS);
        let table = self.program.run(picture, &arguments, &self.limits)?;
        let table = String::from_utf8_lossy(&table).into_owned();
        if self.known_bytes + table.len() <= OCR_KEPT_BYTES_MAX {
            self.known_bytes += table.len();
            self.known.insert(digest, table.clone());
        }
        Ok(table)
    }
}

/// `program` where it is a path, else the first of that name where programs lie.
fn find(program: &Path) -> Option<PathBuf> {
    if program.components().count() > 1 {
        return program.is_file().then(|| program.to_owned());
    }
    let folders = std::env::var_os("PATH").unwrap_or_else(|| PATH_DEFAULT.into());
    let mut found = std::env::split_paths(&folders).map(|folder| folder.join(program));
    found.find(|path| path.is_absolute() && path.is_file())
}

/// The program, the libraries of the machine and of its own folder, and its data.
fn reach(path: &Path) -> Reach {
    let home = path.parent().and_then(Path::parent).unwrap_or(Path::new("/"));
    let mut run: Vec<PathBuf> = LOADER.iter().map(PathBuf::from).collect();
    run.extend([path.to_owned(), home.join("lib")]);
    Reach { read: DATA.iter().map(|below| home.join(below)).collect(), write: Vec::new(), run }
}

/// The folder of `List of available languages in "/usr/share/tesseract-ocr/5/tessdata/" (3):`.
fn data_folder(list: &str) -> Option<PathBuf> {
    let (_, folder) = list.lines().next()?.split_once('"')?;
    Some(PathBuf::from(folder.split_once('"')?.0))
}

/// Of the data of all `languages` in `folder`.
fn data_digest(folder: &Path, languages: &[String]) -> Result<Digest, String> {
    let mut parts = Vec::new();
    for language in languages {
        let file = folder.join(format!("{language}.traineddata"));
        parts.push(fs::read(&file).map_err(|error| {
            format!(
                "the language {language:?} is not there: {}: {error}; Debian's package is tesseract-ocr-{}",
                file.display(),
                language.replace('_', "-")
            )
        })?);
    }
    Ok(Digest::of_parts(parts.iter().map(Vec::as_slice)))
}

/// Whether `bytes` are a whole binary grey map (PGM, `P5`) of 255 greys, as `extract::picture` makes them.
fn is_grey_map(bytes: &[u8]) -> bool {
    let mut lines = bytes.splitn(4, |&byte| byte == b'\n');
    let [Some(b"P5"), Some(size), Some(b"255"), Some(pixels)] =
        [lines.next(), lines.next(), lines.next(), lines.next()]
    else {
        return false;
    };
    let size = std::str::from_utf8(size).ok().and_then(|size| size.split_once(' '));
    let number = |text: &str| text.parse::<u16>().ok().map(usize::from).filter(|&n| n > 0);
    let count = size.and_then(|(width, height)| Some(number(width)? * number(height)?));
    // Sides are rounded, so a little more than the most may come out.
    count == Some(pixels.len()) && pixels.len() as f32 <= 1.01 * OCR_PIXELS_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_grey_map_is_handed_on() {
        assert!(is_grey_map(b"P5\n2 3\n255\n\x00\x0a\xff\x0a\x0a\x00"));
        for other in [
            &b""[..],
            b"P5\n2 3\n255\n\x00\x0a\xff\x0a\x0a",
            b"P5\n2 3\n255\n\x00\x0a\xff\x0a\x0a\x00\x00",
            b"P6\n2 3\n255\n\x00\x0a\xff\x0a\x0a\x00",
            b"P5\n0 0\n255\n",
            b"P5\n2 3\n65535\n\x00\x0a\xff\x0a\x0a\x00",
            b"II*\x00 a TIFF would be another parser's",
        ] {
            assert!(!is_grey_map(other), "{other:?}");
        }
    }

    #[test]
    fn the_folder_of_the_data_is_read_from_the_list_of_languages() {
        // As tesseract 5.3 prints it.
        let list = "List of available languages in \"/usr/share/tesseract-ocr/5/tessdata/\" (2):\neng\nosd\n";
        assert_eq!(data_folder(list), Some(PathBuf::from("/usr/share/tesseract-ocr/5/tessdata/")));
        assert_eq!(data_folder("usage: other"), None);
    }

    #[test]
    fn a_language_that_is_not_there_is_named_with_the_way_out() {
        let why = data_digest(Path::new("/nonexistent"), &["deu".to_owned()]).unwrap_err();
        assert!(why.contains("\"deu\"") && why.contains("tesseract-ocr-deu"), "{why}");
    }
}
