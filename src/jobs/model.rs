//! Where the model may lie, and what to say when it is not there.

use std::fmt;
use std::path::{Path, PathBuf};

use super::plan::Model;
use crate::base::Digest;

/// `run --model FILE --sha256 X`: takes the place of `[model]`.
#[derive(Clone, Debug)]
pub struct ModelOverride {
    /// Relative to the working folder, unlike the paths of `jobs.toml`.
    pub path: PathBuf,
    pub sha256: Digest,
}

/// The model file is in none of the places where it was sought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelMissing {
    pub sought: Vec<PathBuf>,
}

impl Model {
    /// The model's file, sought now.
    ///
    /// # Errors
    /// `ModelMissing` with every place that was tried.
    pub fn locate(&self) -> Result<&Path, ModelMissing> {
        match self.sought.iter().find(|path| path.is_file()) {
            Some(path) => Ok(path),
            None => Err(ModelMissing { sought: self.sought.clone() }),
        }
    }
}

impl fmt::Display for ModelMissing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the model file is missing; it was sought as")?;
        for (nth, path) in self.sought.iter().enumerate() {
            let separator = if nth == 0 { " " } else { ", then as " };
            write!(f, "{separator}{}", path.display())?;
        }
        f.write_str(
            "; copy it to one of these, change [model] path, or name another with --model and --sha256",
        )
    }
}

impl std::error::Error for ModelMissing {}
