//! Sending a signal, also to a process of another user.

use reaper::proc;

use crate::rest;
use crate::sys::{self, Answer, Received};

/// What came of sending signals.
pub struct Told {
    /// Somebody could be signalled.
    pub reached: bool,
    /// A process that may not be sent signals by any means; 0 if there is none.
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

/// A signal and whom it is for.
pub struct Parcel<'a> {
    pub pid: i32,
    /// It is for the whole process group that `pid` leads, or for `pid` alone if it leads none.
    pub group: bool,
    /// The signal's number; 0 only asks whether one may be sent.
    pub signal: u8,
    /// What arrived here, whose value goes along.
    pub received: Option<&'a Received>,
}

impl Parcel<'_> {
    /// A signal without a value for one process.
    pub fn new(pid: i32, signal: u8) -> Parcel<'static> {
        Parcel { pid, group: false, signal, received: None }
    }

    /// Sends the signal, as another user to those whom we may not signal ourselves.
    pub fn send(&self, told: &mut Told) {
        let mut sent = self.deliver();
        if self.group {
            // The kernel reports an error only if no member could be signalled.
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

    /// Sends the signal from a process that has the receiver's user. Without CAP_KILL root may not
    /// signal others, but with CAP_SETUID, which it needs to start them, it can become them. We
    /// must not do that ourselves: it would close `/proc/PID/*` to everybody else.
    fn send_for_user(&self) -> Answer {
        match rest::field(self.pid, proc::USER) {
            Some(user) if sys::run_forked(errand, &Errand { parcel: self, user }) => Answer::OK,
            // It may have ended, or become another user, meanwhile.
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
