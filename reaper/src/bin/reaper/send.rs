//! Sends signals, including to processes of other users.

use reaper::proc;

use crate::rest;
use crate::sys::{self, Answer, Received};

/// The result of sending signals.
pub struct Told {
    /// Whether at least one process could be signalled.
    pub reached: bool,
    /// A process that could not be signalled by any means; 0 if there is none.
    pub refused: i32,
}

impl Told {
    pub const NOBODY: Told = Told { reached: false, refused: 0 };

    fn note(&mut self, pid: i32, sent: Answer) {
        if sent.is_ok() {
            self.reached = true;
        } else if sent != Answer::ESRCH {
            self.refused = pid;
        }
    }
}

/// A signal and its receiver.
pub struct Parcel<'a> {
    pub pid: i32,
    /// Whether the signal is for the whole process group that `pid` leads, or for `pid` alone if it
    /// leads none.
    pub group: bool,
    /// The number of the signal; 0 only checks whether a signal may be sent.
    pub signal: u8,
    /// The received signal, whose value is passed on.
    pub received: Option<&'a Received>,
}

impl Parcel<'_> {
    /// Creates a parcel for one process, with a signal that has no value.
    pub fn new(pid: i32, signal: u8) -> Parcel<'static> {
        Parcel { pid, group: false, signal, received: None }
    }

    /// Sends the signal. A process that the reaper may not signal receives it from a child of the
    /// reaper that has that process's user ID.
    pub fn send(&self, told: &mut Told) {
        let mut sent = self.deliver();
        if self.group {
            // For a group, the kernel reports an error only if no member could be signalled.
            let mut member = |pid| {
                let meant = pid == self.pid || sys::group(pid) == self.pid;
                if meant && sys::ask(pid) == Answer::EPERM {
                    Parcel { pid, group: false, ..*self }.send(told);
                }
            };
            if rest::listed(sys::getpid(), true, &mut member) {
                return;
            }
        }
        if sent == Answer::EPERM {
            sent = self.send_for_user();
        }
        told.note(self.pid, sent);
    }

    /// Sends the signal from a child process that takes on the receiver's user ID. Without
    /// CAP_KILL, root may not signal processes of other users, but with CAP_SETUID, which it needs
    /// to start them, it can take on their user ID. The reaper must not do this itself, because
    /// `/proc/PID/*` of the reaper would become inaccessible to all other processes.
    fn send_for_user(&self) -> Answer {
        match rest::field(self.pid, proc::USER) {
            Some(user) if sys::run_forked(errand, &Errand { parcel: self, user }) => Answer::OK,
            // The receiver may have ended or changed its user ID in the meantime.
            _ => self.deliver(),
        }
    }

    fn deliver(&self) -> Answer {
        sys::send(self.pid, self.group, self.signal, self.received)
    }
}

struct Errand<'a> {
    parcel: &'a Parcel<'a>,
    user: i32,
}

extern "C" fn errand(errand: &Errand<'_>) -> ! {
    sys::act_for_user(errand.user);
    sys::exit(u8::from(!errand.parcel.deliver().is_ok()))
}
