//! The model on its way into memory: the file that the plan names, checked, then loaded.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::Broken;
use super::progress::Progress;
use crate::base::Digest;
use crate::engine::{Engine, Settings};
use crate::jobs::Plan;

/// The model's file and its size, once its digest is the one that the plan names.
///
/// # Errors
/// `Model` where it is missing, cannot be read, or is another file.
pub(super) fn checked(plan: &Plan, progress: &Progress) -> Result<(PathBuf, u64), Broken> {
    let path = plan.model.locate().map_err(|error| Broken::model(&error))?.to_owned();
    let unreadable = |error| Broken::Model(format!("{}: {error}", path.display()));
    let mut file = File::open(&path).map_err(unreadable)?;
    progress.say("checking the model's SHA-256");
    let (digest, bytes) = Digest::of_reader(&mut file).map_err(unreadable)?;
    if digest != plan.model.sha256 {
        return Err(Broken::Model(format!(
            "{}: its SHA-256 is {digest}, but {} names {}; get the right file, or name this one's digest \
             if you trust it",
            path.display(),
            plan.file.display(),
            plan.model.sha256
        )));
    }
    Ok((path, bytes))
}

/// Reads its weights.
///
/// # Errors
/// `Model` where it is none that can be run here.
pub(super) fn load(
    path: &Path,
    settings: &Settings,
    progress: &Progress,
) -> Result<Engine, Broken> {
    progress.say("loading the model");
    let loaded = Engine::load(path, settings, &mut |done, total| {
        progress.show(&format!("loading the model: {} of {} MiB", done >> 20, total >> 20));
    });
    loaded.map_err(|error| Broken::model(&error))
}
