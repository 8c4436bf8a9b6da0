//! C2SP signed notes, checkpoints and keys (signed-note, tlog-checkpoint, tlog-cosignature at
//! github.com/C2SP/C2SP): text and signatures. What a log demands of its notes is `signing`'s.

use std::fmt;
use std::str::FromStr;

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use serde::{Serialize, Serializer};
use sha2::{Digest as _, Sha256};

use crate::base::limits::NOTE_BYTES_MAX;
use crate::base::{Digest, base64};

/// Ed25519 over the note's text.
const ED25519: u8 = 0x01;

/// Ed25519 over time and text of a checkpoint: a witness's.
const COSIGNATURE_V1: u8 = 0x04;

/// What a key signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum KeyKind {
    /// The text of notes.
    Note,
    /// Checkpoints that it has found consistent, with the time.
    Witness,
}

impl KeyKind {
    fn byte(self) -> u8 {
        match self {
            KeyKind::Note => ED25519,
            KeyKind::Witness => COSIGNATURE_V1,
        }
    }
}

/// A public key with its name, as text: `<name>+<8 hex digits>+<base64>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vkey {
    pub name: String,
    pub kind: KeyKind,
    public: [u8; 32],
}

/// A text that is no verifier key of a kind that is known here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotAKey;

impl fmt::Display for NotAKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a verifier key: <name>+<8 hexadecimal digits>+<base64> is expected")
    }
}

impl std::error::Error for NotAKey {}

impl Vkey {
    /// What signature lines name the key by, beside its name.
    pub fn id(&self) -> [u8; 4] {
        let mut hasher = Sha256::new();
        hasher.update(self.name.as_bytes());
        hasher.update([b'\n', self.kind.byte()]);
        hasher.update(self.public);
        let digest: [u8; 32] = hasher.finalize().into();
        [digest[0], digest[1], digest[2], digest[3]]
    }

    /// The public key as `openssl` reads it (RFC 8410 section 4).
    pub fn pem(&self) -> String {
        let mut der = vec![0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
        der.extend_from_slice(&self.public);
        let text = base64::encode(&der);
        format!("-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----\n")
    }

    /// Whether `signature` is this key's over `message`; small-order points are refused (RFC 8032 leaves
    /// that open).
    fn holds(&self, message: &[u8], signature: &[u8]) -> bool {
        let (Ok(key), Ok(signature)) =
            (VerifyingKey::from_bytes(&self.public), Signature::from_slice(signature))
        else {
            return false;
        };
        key.verify_strict(message, &signature).is_ok()
    }
}

impl fmt::Display for Vkey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = u32::from_be_bytes(self.id());
        let key = base64::encode(&[&[self.kind.byte()], &self.public[..]].concat());
        write!(f, "{}+{id:08x}+{key}", self.name)
    }
}

impl Serialize for Vkey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl FromStr for Vkey {
    type Err = NotAKey;

    fn from_str(text: &str) -> Result<Vkey, NotAKey> {
        let (name, rest) = text.split_once('+').ok_or(NotAKey)?;
        let (_, key) = rest.split_once('+').ok_or(NotAKey)?;
        let key = base64::decode(key).ok_or(NotAKey)?;
        let (&kind, public) = key.split_first().ok_or(NotAKey)?;
        let kind = match kind {
            ED25519 => KeyKind::Note,
            COSIGNATURE_V1 => KeyKind::Witness,
            _ => return Err(NotAKey),
        };
        let public = public.try_into().map_err(|_| NotAKey)?;
        let key = Vkey { name: name.into(), kind, public };
        // One form: also the hexadecimal digits must be those of name and key.
        if is_name(name) && key.to_string() == text { Ok(key) } else { Err(NotAKey) }
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c.is_control() || c == '+')
}

/// A key that can sign. Its bytes are wiped from memory when it goes.
pub struct Key {
    vkey: Vkey,
    secret: SigningKey,
}

impl Key {
    /// A key of these random bytes.
    pub fn of_seed(name: &str, kind: KeyKind, seed: &[u8; 32]) -> Key {
        let secret = SigningKey::from_bytes(seed);
        let public = secret.verifying_key().to_bytes();
        Key { vkey: Vkey { name: name.into(), kind, public }, secret }
    }

    pub fn vkey(&self) -> &Vkey {
        &self.vkey
    }

    /// `PRIVATE+KEY+<name>+<8 hex digits>+<base64>`, as Go's note package writes it.
    pub fn to_text(&self) -> String {
        let id = u32::from_be_bytes(self.vkey.id());
        let secret = [&[self.vkey.kind.byte()], &self.secret.as_bytes()[..]].concat();
        format!("PRIVATE+KEY+{}+{id:08x}+{}\n", self.vkey.name, base64::encode(&secret))
    }

    /// Reads `to_text`.
    pub fn from_text(text: &str) -> Option<Key> {
        let rest = text.strip_suffix('\n')?.strip_prefix("PRIVATE+KEY+")?;
        let (name, rest) = rest.split_once('+')?;
        let secret = base64::decode(rest.split_once('+')?.1)?;
        let (&kind, seed) = secret.split_first()?;
        let kind = match kind {
            ED25519 => KeyKind::Note,
            COSIGNATURE_V1 => KeyKind::Witness,
            _ => return None,
        };
        let key = Key::of_seed(name, kind, seed.try_into().ok()?);
        (is_name(name) && key.to_text() == text).then_some(key)
    }

    /// The signature line of this key under `text`.
    pub fn sign(&self, text: &str) -> String {
        self.line(&self.secret.sign(text.as_bytes()).to_bytes())
    }

    /// The line by which a witness says that `text` is the largest head that it has seen of this log, at
    /// `time` (seconds since 1970).
    pub fn cosign(&self, text: &str, time: u64) -> String {
        let signature = self.secret.sign(&cosigned(text, time)).to_bytes();
        self.line(&[&time.to_be_bytes()[..], &signature].concat())
    }

    fn line(&self, signature: &[u8]) -> String {
        let payload = base64::encode(&[&self.vkey.id(), signature].concat());
        format!("— {} {payload}\n", self.vkey.name)
    }
}

/// What a witness signs (tlog-cosignature, "Format").
fn cosigned(text: &str, time: u64) -> Vec<u8> {
    format!("cosignature/v1\ntime {time}\n{text}").into_bytes()
}

/// A signed text: ends with LF; then an empty line; then one line for each signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// With its last LF.
    pub text: String,
    signatures: Vec<Line>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Line {
    name: String,
    id: [u8; 4],
    signature: Vec<u8>,
}

impl Note {
    /// Reads a note.
    ///
    /// # Errors
    /// What is wrong with its form; signatures are not looked at.
    pub fn parse(bytes: &[u8]) -> Result<Note, &'static str> {
        if bytes.len() > NOTE_BYTES_MAX {
            return Err("the note is too long");
        }
        let note = std::str::from_utf8(bytes).map_err(|_| "the note is not UTF-8")?;
        if note.bytes().any(|byte| byte < 0x20 && byte != b'\n') {
            return Err("the note has a control character");
        }
        let (text, lines) = note.split_once("\n\n").ok_or("the note has no signatures")?;
        let lines = lines.strip_suffix('\n').ok_or("the note has no end")?;
        let signatures = lines.split('\n').map(|line| {
            let line = line.strip_prefix("— ").ok_or("a signature line begins otherwise")?;
            let (name, payload) = line.split_once(' ').ok_or("a signature line has no key name")?;
            let payload = base64::decode(payload).ok_or("a signature is not base64")?;
            match payload.split_first_chunk::<4>() {
                Some((&id, signature)) if !name.is_empty() && !name.contains('+') => {
                    Ok(Line { name: name.into(), id, signature: signature.into() })
                }
                _ => Err("a signature line is too short, or names no key"),
            }
        });
        Ok(Note { text: format!("{text}\n"), signatures: signatures.collect::<Result<_, _>>()? })
    }

    /// The one signature of `key`, without its key id.
    fn signature(&self, key: &Vkey) -> Result<&[u8], &'static str> {
        let id = key.id();
        let mut own = self.signatures.iter().filter(|line| line.name == key.name && line.id == id);
        match (own.next(), own.next()) {
            (Some(line), None) => Ok(&line.signature),
            (None, _) => Err("is missing"),
            (Some(_), Some(_)) => Err("is there twice"),
        }
    }

    /// The 64 bytes by which `key` signed the text.
    ///
    /// # Errors
    /// What is wrong with its signature, to be read after its name.
    pub fn verified(&self, key: &Vkey) -> Result<&[u8], &'static str> {
        let signature = self.signature(key)?;
        if key.kind == KeyKind::Note && key.holds(self.text.as_bytes(), signature) {
            Ok(signature)
        } else {
            Err("is false")
        }
    }

    /// When `witness` signed this checkpoint, in seconds since 1970; none where it did not.
    ///
    /// # Errors
    /// What is wrong with its signature.
    pub fn cosigned(&self, witness: &Vkey) -> Result<Option<u64>, &'static str> {
        let payload = match self.signature(witness) {
            Err("is missing") => return Ok(None),
            other => other?,
        };
        let (time, signature) = payload.split_first_chunk::<8>().ok_or("is false")?;
        let time = u64::from_be_bytes(*time);
        match witness.holds(&cosigned(&self.text, time), signature) {
            true => Ok(Some(time)),
            false => Err("is false"),
        }
    }

    /// With the signature of `key` that `other` has, in place of an own one of that key.
    pub fn with_line_of(mut self, other: &Note, key: &Vkey) -> Note {
        let is_of = |line: &Line| line.name == key.name && line.id == key.id();
        self.signatures.retain(|line| !is_of(line));
        self.signatures.extend(other.signatures.iter().filter(|line| is_of(line)).cloned());
        self
    }

    /// Puts a signature line under the note, unless it is there.
    pub fn with_line(mut self, line: &str) -> Result<Note, &'static str> {
        let added = Note::parse(format!("{}\n{line}", self.text).as_bytes())?;
        for line in added.signatures {
            if !self.signatures.contains(&line) {
                self.signatures.push(line);
            }
        }
        Ok(self)
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        for Line { name, id, signature } in &self.signatures {
            writeln!(f, "— {name} {}", base64::encode(&[id, &signature[..]].concat()))?;
        }
        Ok(())
    }
}

/// What the text of a checkpoint says: three lines, no extensions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    pub origin: String,
    /// Entries.
    pub size: u64,
    /// RFC 6962 root over them.
    pub root: Digest,
}

impl Checkpoint {
    /// Reads the text of a note.
    ///
    /// # Errors
    /// What is wrong with its form.
    pub fn parse(text: &str) -> Result<Checkpoint, &'static str> {
        let lines: Vec<&str> = text.split('\n').collect();
        let [origin, size, root, ""] = lines[..] else {
            return Err("the checkpoint is not three lines");
        };
        let number: u64 = size.parse().map_err(|_| "the checkpoint's size is no number")?;
        let root = base64::decode(root).and_then(|root| root.try_into().ok());
        let root = Digest(root.ok_or("the checkpoint's root is not a digest in base64")?);
        let checkpoint = Checkpoint { origin: origin.into(), size: number, root };
        // One form: no sign, no leading zeros.
        if checkpoint.to_string() == text {
            Ok(checkpoint)
        } else {
            Err("the checkpoint is not in its one form")
        }
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}\n{}\n", self.origin, self.size, base64::encode(&self.root.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Key, text and note of Go's `golang.org/x/mod/sumdb/note` (its documentation's example).
    const GO_VKEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    const GO_SKEY: &str =
        "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz\n";
    const GO_TEXT: &str = "If you think cryptography is the answer to your problem,\n\
                           then you don't know what your problem is.\n";
    const GO_LINE: &str = "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

    #[test]
    fn gos_example_note_is_read_signed_and_verified_alike() {
        let vkey: Vkey = GO_VKEY.parse().unwrap();
        let key = Key::from_text(GO_SKEY).unwrap();
        assert_eq!(key.vkey(), &vkey);
        assert_eq!(vkey.to_string(), GO_VKEY);
        assert_eq!(key.sign(GO_TEXT), GO_LINE);
        let whole = format!("{GO_TEXT}\n{GO_LINE}");
        let note = Note::parse(whole.as_bytes()).unwrap();
        assert_eq!(note.to_string(), whole);
        assert_eq!(note.verified(&vkey).map(<[u8]>::len), Ok(64));
        let changed = Note::parse(whole.replace("problem is", "problem was").as_bytes()).unwrap();
        assert_eq!(changed.verified(&vkey), Err("is false"));
        let twice = format!("{whole}{GO_LINE}");
        let twice = Note::parse(twice.as_bytes()).unwrap();
        assert_eq!(twice.verified(&vkey), Err("is there twice"));
    }

    #[test]
    fn a_key_has_one_form() {
        let short = GO_VKEY.rsplit_once('/').unwrap().0;
        for other in [
            short,
            &GO_VKEY.replace("c74f", "C74F"),
            &GO_VKEY.replace("c74f", "c74e"),
            &GO_VKEY.replace("Peter", "Peter "),
            &GO_VKEY.replace("+AR", "+BR"),
            "",
        ] {
            assert_eq!(other.parse::<Vkey>(), Err(NotAKey), "{other}");
        }
        assert!(Key::from_text(&GO_SKEY.replace("c74f", "c74e")).is_none());
    }

    #[test]
    fn a_cosignature_holds_for_its_time_and_text_only() {
        let key = Key::of_seed("witness.example", KeyKind::Witness, &[7; 32]);
        let text = Checkpoint { origin: "o".into(), size: 3, root: Digest([1; 32]) }.to_string();
        let note = format!("{text}\n{}", key.cosign(&text, 1_700_000_000));
        let note = Note::parse(note.as_bytes()).unwrap();
        assert_eq!(note.cosigned(key.vkey()), Ok(Some(1_700_000_000)));
        let mut late = note.clone();
        late.signatures[0].signature[7] ^= 1;
        assert_eq!(late.cosigned(key.vkey()), Err("is false"));
        let other = Key::of_seed("other.example", KeyKind::Witness, &[8; 32]);
        assert_eq!(note.cosigned(other.vkey()), Ok(None));
        let moved = note.to_string().replace("o\n3", "o\n4");
        let moved = Note::parse(moved.as_bytes()).unwrap();
        assert_eq!(moved.cosigned(key.vkey()), Err("is false"));
        // A note's key of the same bytes is another key.
        let as_note = Key::of_seed("witness.example", KeyKind::Note, &[7; 32]);
        assert_eq!(note.verified(as_note.vkey()), Err("is missing"));
    }

    #[test]
    fn a_checkpoint_has_one_form() {
        let text = "example.com/log\n15368405\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";
        assert_eq!(Checkpoint::parse(text).unwrap().size, 15_368_405);
        for other in [
            text.replace("153", "0153"),
            text.replace("153", "+153"),
            text.replace("I=", "J="),
            format!("{text}more\n"),
            text.trim_end().into(),
        ] {
            assert!(Checkpoint::parse(&other).is_err(), "{other}");
        }
    }
}
