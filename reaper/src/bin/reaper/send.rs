//! Sending a signal, also to a process of another user.

use reaper::proc;

use crate::rest;
use crate::sys::{self, Answer, Received};

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
    /// A signal without a value.
    pub fn new(pid: i32, group: bool, signal: u8) -> Parcel<'static> {
        Parcel { pid, group, signal, received: None }
    }

    /// Sends the signal, as another user if we may not ourselves.
    pub fn send(&self) -> Answer {
        let sent = self.deliver();
        if (sent.is_ok() && !self.group) || sys::ask(self.pid) != Answer::EPERM {
            return sent;
        }
        self.send_for_user()
    }

    /// Sends the signal from a process that has the receiver's user. Without CAP_KILL root may not
    /// signal others, but with CAP_SETUID, which it needs to start them, it can become them. We
    /// must not do that ourselves: it would close `/proc/PID/*` to everybody else.
    pub fn send_for_user(&self) -> Answer {
        match rest::field(self.pid, proc::USER) {
            Some(user) if sys::run_forked(errand, &Errand { parcel: self, user }) => Answer::OK,
            _ => Answer::EPERM,
        }
    }

    fn deliver(&self) -> Answer {
        let sent = sys::send(self.pid, self.group, self.signal, self.received);
        if self.group && sent == Answer::ESRCH {
            // It has left the group that it led.
            return sys::send(self.pid, false, self.signal, self.received);
        }
        sent
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
