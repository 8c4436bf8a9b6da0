//! Which files this process may still touch (Landlock): a few are read, fewer are written, none but what is named is run.

use std::io;
use std::path::PathBuf;

use landlock::{
    ABI, Access, AccessFs, AccessNet, LandlockStatus, Ruleset, RulesetAttr, RulesetCreatedAttr,
    RulesetError, RulesetStatus, Scope, path_beneath_rules,
};

/// What a process may reach once it is isolated. A folder stands for everything below it; what is not
/// there is left out.
#[derive(Clone, Debug, Default)]
pub struct Reach {
    pub read: Vec<PathBuf>,
    pub write: Vec<PathBuf>,
    /// Read, and started as a program.
    pub run: Vec<PathBuf>,
}

/// What the program reads of the machine itself: its own executable and process, the machine's name and
/// clock, processors and their share, zones.
const MACHINE: [&str; 13] = [
    "/dev/urandom",
    "/dev/null",
    "/proc/self",
    "/proc/sys/kernel",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/uptime",
    "/sys/devices/system",
    "/sys/fs/cgroup",
    "/etc/localtime",
    "/etc/timezone",
    "/usr/share/zoneinfo",
];

/// The last version whose rights are known here; older kernels give what they have.
const KNOWN: ABI = ABI::V7;

impl Reach {
    /// This, and what every command reads of the machine.
    pub(super) fn with_machine(&self) -> Reach {
        let mut read: Vec<PathBuf> = MACHINE.iter().map(PathBuf::from).collect();
        read.extend(std::env::current_exe());
        read.extend_from_slice(&self.read);
        Reach { read, ..self.clone() }
    }

    /// Restricts this process, which has one thread, for good. Gives the version of Landlock that holds
    /// it: 0 where the kernel has none.
    ///
    /// # Errors
    /// Where the kernel has Landlock and refuses the rules.
    pub(super) fn restrict(&self) -> io::Result<u64> {
        let restrict = || -> Result<_, RulesetError> {
            let files = AccessFs::from_all(KNOWN);
            let read = AccessFs::ReadFile | AccessFs::ReadDir;
            let write = read
                | AccessFs::WriteFile
                | AccessFs::Truncate
                | AccessFs::MakeReg
                | AccessFs::MakeDir
                | AccessFs::RemoveFile
                | AccessFs::RemoveDir
                | AccessFs::Refer;
            // Signals stay: the parse server is outside, and is killed when a reader hangs.
            Ruleset::default()
                .handle_access(files)?
                .handle_access(AccessNet::from_all(KNOWN))?
                .scope(Scope::AbstractUnixSocket)?
                .create()?
                .add_rules(path_beneath_rules(&self.read, read))?
                .add_rules(path_beneath_rules(&self.write, write))?
                .add_rules(path_beneath_rules(&self.run, read | AccessFs::Execute))?
                .restrict_self()
        };
        let status = restrict().map_err(io::Error::other)?;
        Ok(match status.landlock {
            LandlockStatus::Available { effective_abi, .. }
                if status.ruleset != RulesetStatus::NotEnforced =>
            {
                effective_abi as u64
            }
            _ => 0,
        })
    }
}
