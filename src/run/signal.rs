//! SIGTERM and SIGINT: the first asks the run to finish what is nearly done, a second one ends it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};

/// Whether a signal asked the run to stop. Clones share the answer.
#[derive(Clone, Default)]
pub struct StopFlag(Arc<AtomicBool>);

impl StopFlag {
    /// Arms the signals. The second signal ends the process at once with exit code 75: every state on
    /// disk is one that the next run continues from.
    pub fn armed() -> io::Result<StopFlag> {
        let flag = StopFlag::default();
        for signal in [SIGTERM, SIGINT] {
            // Registered first, so it sees the flag as the signals before it left it.
            signal_hook::flag::register_conditional_shutdown(signal, 75, Arc::clone(&flag.0))?;
            signal_hook::flag::register(signal, Arc::clone(&flag.0))?;
        }
        Ok(flag)
    }

    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Asks for the stop as a signal would.
    pub fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
