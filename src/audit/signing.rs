//! Which keys must have signed a checkpoint: the log's, the one in force, and the one that takes over.
//! Rules only; secrets are `keys`'.

use super::event::{Genesis, RunStart};
use super::line::RunId;
use super::note::{Checkpoint, KeyKind, Note, Vkey};
use super::rules::{Breach, breach};
use crate::base::Digest;

/// The keys of a log and its last checkpoint, as far as it was walked.
///
/// A run's key is *named* by its `run_start` (the first one by `genesis`) and *in force* from the first
/// checkpoint after that, which the key in force until then has to sign as well. So whoever holds
/// today's keys cannot sign an earlier run anew: its key is gone.
#[derive(Clone, Debug, Default)]
pub struct Signing {
    /// None in a log without signatures.
    keys: Option<Keys>,
    last: Option<Head>,
}

#[derive(Clone, Debug)]
struct Keys {
    log: Vkey,
    in_force: Vkey,
    named: Vkey,
}

/// A checkpoint that holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Entries that it covers.
    pub size: u64,
    /// Of its text.
    pub text: Digest,
}

/// What a run's key is called.
pub fn run_key_name(origin: &str, run: &RunId) -> String {
    format!("{origin}/run/{run}")
}

impl Signing {
    /// The log's key; none in a log without signatures.
    pub fn log_key(&self) -> Option<&Vkey> {
        self.keys.as_ref().map(|keys| &keys.log)
    }

    /// The keys of runs that must sign the next checkpoint: the one in force, and the one named since.
    pub fn run_keys(&self) -> Vec<&Vkey> {
        let Some(keys) = &self.keys else { return Vec::new() };
        match keys.named == keys.in_force {
            true => vec![&keys.in_force],
            false => vec![&keys.in_force, &keys.named],
        }
    }

    /// The last checkpoint.
    pub fn last(&self) -> Option<&Head> {
        self.last.as_ref()
    }

    /// Entries that a checkpoint covers.
    pub fn signed(&self) -> u64 {
        self.last.as_ref().map_or(0, |head| head.size)
    }

    pub(super) fn check_genesis(run: &RunId, genesis: &Genesis) -> Result<(), Breach> {
        Keys::of(run, genesis).map(drop)
    }

    pub(super) fn apply_genesis(&mut self, run: &RunId, genesis: &Genesis) {
        self.keys = Keys::of(run, genesis).unwrap_or_default();
    }

    /// A run begins where a checkpoint ends, and says which.
    pub(super) fn check_run_start(
        &self,
        seq: u64,
        run: &RunId,
        start: &RunStart,
    ) -> Result<(), Breach> {
        let Some(keys) = &self.keys else {
            return match start.run_vkey.is_empty() && start.prev_checkpoint.is_empty() {
                true => Ok(()),
                false => breach("key", "a key or a checkpoint in a log without signatures"),
            };
        };
        let key = run_key(&keys.log.name, run, &start.run_vkey)?;
        if key.name == keys.named.name && key != keys.named {
            return breach("key", "run_vkey is not the key that genesis names for this run");
        }
        match &self.last {
            Some(head) if head.size == seq && head.text.to_string() == start.prev_checkpoint => {
                Ok(())
            }
            Some(head) if head.size == seq => {
                breach("checkpoint", "prev_checkpoint is not the checkpoint before this run")
            }
            _ => breach("checkpoint", format!("a run begins, but checkpoint {seq} is missing")),
        }
    }

    pub(super) fn apply_run_start(&mut self, start: &RunStart) {
        if let Some(keys) = &mut self.keys
            && let Ok(key) = start.run_vkey.parse()
        {
            keys.named = key;
        }
    }

    /// Checks the note for the first `size` entries, whose root is `root`.
    pub(super) fn check_note(&self, bytes: &[u8], size: u64, root: Digest) -> Result<Head, Breach> {
        let name = format!("checkpoint {size}");
        let not = |rule, why: &str| Breach { rule, message: format!("{name}: {why}") };
        let Some(keys) = &self.keys else {
            return Err(not("note", "a checkpoint of a log without signatures"));
        };
        let note = Note::parse(bytes).map_err(|why| not("note", why))?;
        let checkpoint = Checkpoint::parse(&note.text).map_err(|why| not("note", why))?;
        if checkpoint.origin != keys.log.name || checkpoint.size != size {
            return Err(not("note", "it is of another log or size"));
        }
        if checkpoint.root != root {
            let first = self.signed();
            let between = format!(
                "its root is not that of the log: one of the entries {first} to {} was changed",
                size - 1
            );
            return Err(not("checkpoint", &between));
        }
        for key in [&keys.log].into_iter().chain(self.run_keys()) {
            note.verified(key)
                .map_err(|why| not("signature", &format!("the signature of {} {why}", key.name)))?;
        }
        Ok(Head { size, text: Digest::of(note.text.as_bytes()) })
    }

    pub(super) fn apply_note(&mut self, head: Head) {
        self.last = Some(head);
        if let Some(keys) = &mut self.keys {
            keys.in_force = keys.named.clone();
        }
    }
}

impl Keys {
    fn of(run: &RunId, genesis: &Genesis) -> Result<Option<Keys>, Breach> {
        if genesis.log_vkey.is_empty() && genesis.run_vkey.is_empty() {
            return Ok(None);
        }
        let log: Vkey = match genesis.log_vkey.parse() {
            Ok(key) => key,
            Err(error) => {
                return Err(Breach { rule: "key", message: format!("log_vkey is {error}") });
            }
        };
        if log.name != genesis.origin || log.kind != KeyKind::Note {
            let message = "log_vkey is not an Ed25519 key named as the origin".into();
            return Err(Breach { rule: "key", message });
        }
        let first = run_key(&log.name, run, &genesis.run_vkey)?;
        Ok(Some(Keys { log, in_force: first.clone(), named: first }))
    }
}

fn run_key(origin: &str, run: &RunId, text: &str) -> Result<Vkey, Breach> {
    match text.parse::<Vkey>() {
        Ok(key) if key.name == run_key_name(origin, run) && key.kind == KeyKind::Note => Ok(key),
        _ => {
            let message = format!("run_vkey is not a key named {}", run_key_name(origin, run));
            Err(Breach { rule: "key", message })
        }
    }
}
