//! The process that forks servers: one thread, opens nothing, reads nothing. It lives as long as the
//! program, so that a server that is lost can be replaced after the program has threads.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;

use super::child::Trade;
use super::sys::{self, Forked};
use super::{filter, server};

/// The parent's handle.
pub(super) struct Forker {
    socket: UnixStream,
    id: libc::pid_t,
}

impl Forker {
    /// Forks it; its servers' children will follow `trade`.
    pub(super) fn start(trade: Trade) -> io::Result<Forker> {
        let (ours, theirs) = UnixStream::pair()?;
        let parent = sys::own_id();
        match sys::fork()? {
            Forked::Parent { child } => Ok(Forker { socket: ours, id: child }),
            Forked::Child => {
                sys::die_with(parent);
                drop(ours);
                fork_servers(theirs, &trade)
            }
        }
    }

    /// A new server and its number; the one before is killed with what it is reading.
    pub(super) fn server(&mut self) -> io::Result<(UnixStream, libc::pid_t)> {
        self.socket.write_all(b"1")?;
        let gone = || io::Error::other("the process that forks servers is gone");
        let [socket] = sys::receive_descriptors(&self.socket)?.ok_or_else(gone)?;
        let mut id = [0; 4];
        self.socket.read_exact(&mut id)?;
        Ok((UnixStream::from(socket), libc::pid_t::from_le_bytes(id)))
    }
}

impl Drop for Forker {
    fn drop(&mut self) {
        // Its server goes with it, and that one's reader.
        sys::kill_and_reap(self.id);
    }
}

/// The process itself: a server for each byte, until the parent is gone.
fn fork_servers(socket: UnixStream, trade: &Trade) -> ! {
    sys::ignore_requests_to_end();
    // Locks and whatever else the parent had open are none of its business.
    let ready = sys::close_all_but(3, socket.as_raw_fd()).and_then(|()| server::silence());
    // Walls of which this machine has none are found missing by the self-test (`ways`).
    let _ = match trade {
        Trade::Read(_) => filter::forbid(&[filter::WAYS_OUT, filter::EXEC]),
        Trade::Run(_) => filter::forbid(&[filter::WAYS_OUT]),
    };
    let _ = trade.reach().restrict();
    let mut current = None;
    if ready.is_ok() {
        while let Ok(true) = fork_server(&socket, &mut current, trade) {}
    }
    sys::exit_now(0)
}

/// One server in the place of `current`; false when the parent is gone.
fn fork_server(
    mut socket: &UnixStream,
    current: &mut Option<libc::pid_t>,
    trade: &Trade,
) -> io::Result<bool> {
    let mut asked = [0];
    if socket.read(&mut asked)? == 0 {
        return Ok(false);
    }
    if let Some(lost) = current.take() {
        sys::kill_and_reap(lost);
    }
    let (parents, servers) = UnixStream::pair()?;
    let forker = sys::own_id();
    match sys::fork()? {
        Forked::Parent { child } => {
            *current = Some(child);
            sys::send_descriptors(socket, [parents.as_fd()])?;
            socket.write_all(&child.to_le_bytes())?;
            Ok(true)
        }
        Forked::Child => {
            sys::die_with(forker);
            server::serve(servers, trade)
        }
    }
}
