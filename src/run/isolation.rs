//! How far a command is isolated: what it reads and writes, what the jobs file requires, and what of that
//! this machine gave.

use std::path::{Path, PathBuf};

use super::Broken;
use super::batch::{BatchOptions, folder_of};
use super::read::Readers;
use crate::audit;
use crate::base::Limits;
use crate::isolate::{self, Isolation, Leads, Reach};
use crate::jobs::{Ocr, Plan, Require};

/// What a command does with a plan's folders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Inputs are read, the output is read and written, keys are used. Also for what writes only the log.
    Night,
    /// Inputs are read, the output is read and written.
    Report,
    /// Inputs and output are read.
    Look,
}

/// Isolates this process for what `plan` needs. Nothing else can be opened afterwards.
///
/// # Errors
/// `Isolation` where a way is open that `[isolation] require` wants closed; `Disk` where a folder that is to
/// be written cannot be made.
pub fn isolate_for_plan(
    server: &mut Readers,
    plan: &Plan,
    purpose: Purpose,
) -> Result<audit::Isolation, Broken> {
    isolate_beside(server, plan, purpose, &[])
}

/// Isolates this process for a night that also writes into the folders `beside`, which are there.
///
/// # Errors
/// As `isolate_for_plan`.
pub fn isolate_for_night(
    server: &mut Readers,
    plan: &Plan,
    beside: &[PathBuf],
) -> Result<audit::Isolation, Broken> {
    isolate_beside(server, plan, Purpose::Night, beside)
}

/// Isolates this process for a batch: the requests and the model are read, the folder of the results is
/// written.
///
/// # Errors
/// As `isolate_for_plan`.
pub fn isolate_for_batch(
    server: &mut Readers,
    plan: &Plan,
    batch: &BatchOptions,
    beside: &[PathBuf],
) -> Result<(), Broken> {
    let mut read = plan.model.sought.clone();
    read.push(batch.input.clone());
    let mut write = beside.to_vec();
    write.push(folder_of(&batch.output).to_owned());
    let reach = Reach { read, write, run: Vec::new() };
    isolate_to(server, plan.isolation, (None, &plan.limits), &reach, folder_of(&batch.input))
        .map(drop)
}

fn isolate_beside(
    server: &mut Readers,
    plan: &Plan,
    purpose: Purpose,
    beside: &[PathBuf],
) -> Result<audit::Isolation, Broken> {
    let roots = plan.jobs.iter().flat_map(|job| &job.roots);
    let mut read: Vec<PathBuf> = roots.map(|root| root.folder.clone()).collect();
    let input = read.first().cloned().unwrap_or_default();
    let gates = plan.jobs.iter().filter_map(|job| job.gate.as_ref());
    read.extend(gates.flat_map(|gate| [gate.documents.clone(), gate.labels.clone()]));
    read.extend(plan.model.sought.iter().cloned());
    read.push(plan.output.clone());
    let mut write = beside.to_vec();
    let written: &[&PathBuf] = match purpose {
        Purpose::Night => &[&plan.output, &plan.audit.key_dir],
        Purpose::Report => &[&plan.output],
        Purpose::Look => &[],
    };
    for &folder in written {
        // A rule is for what is there.
        make_folder(folder).map_err(|error| Broken::disk(folder, &error))?;
        write.push(folder.clone());
    }
    let reach = Reach { read, write, run: Vec::new() };
    let ocr = plan.ocr.as_ref().filter(|_| server.has_pages);
    let isolation = isolate_to(server, plan.isolation, (ocr, &plan.limits), &reach, &input)?;
    Ok(facts(plan.isolation, isolation))
}

/// Isolates this process for reading the files `read`, a document first, and nothing else; `ocr` reads its
/// pictures.
///
/// # Errors
/// `Isolation` where a way to the network is open.
pub fn isolate_to_read(
    server: &mut Readers,
    read: &[&Path],
    ocr: Option<&Ocr>,
) -> Result<(), Broken> {
    let reach = Reach { read: read.iter().map(|&path| path.into()).collect(), ..Reach::default() };
    let folder =
        read.first().and_then(|document| document.parent()).filter(|it| !it.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    isolate_to(server, Require::Network, (ocr, &Limits::default()), &reach, folder).map(drop)
}

/// Readable for its owner only, as the log makes its own.
fn make_folder(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

fn isolate_to(
    server: &mut Readers,
    require: Require,
    (ocr, limits): (Option<&Ocr>, &Limits),
    reach: &Reach,
    input: &Path,
) -> Result<Isolation, Broken> {
    let isolation = server
        .isolate(ocr, limits, reach, input)
        .map_err(|error| Broken::Isolation(format!("this process cannot be isolated: {error}")))?;
    let mut open: Vec<String> = Vec::new();
    for leads in [Leads::Network, Leads::System, Leads::Files] {
        if require == Require::All || (require, leads) == (Require::Network, Leads::Network) {
            let told = |tried: &isolate::Try| {
                format!("{} from {} ({})", tried.way, tried.from, tried.result)
            };
            open.extend(isolation.open(leads).map(told));
        }
    }
    if require == Require::All && isolation.landlock == 0 {
        open.push("files: this kernel has no Landlock".to_owned());
    }
    if open.is_empty() {
        return Ok(isolation);
    }
    let weaker = match require {
        Require::All => "network",
        _ => "none",
    };
    Err(Broken::Isolation(format!(
        "not isolated as required: {}; [isolation] require = \"{weaker}\" in the jobs file would run all the \
         same, and the log would say so for ever",
        open.join(", ")
    )))
}

fn facts(require: Require, isolation: Isolation) -> audit::Isolation {
    let Isolation { namespace, interfaces, landlock, tries } = isolation;
    let tries = tries.into_iter().map(|tried| audit::Try {
        from: tried.from.to_owned(),
        way: tried.way.to_owned(),
        result: tried.result,
    });
    audit::Isolation {
        require: require.word().to_owned(),
        namespace,
        interfaces,
        landlock,
        tries: tries.collect(),
    }
}
