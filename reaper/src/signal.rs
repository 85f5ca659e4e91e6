//! The names and numbers of signals, and the rewriting of one signal to another.

use crate::text::{after, cut, decimal, place};

/// The names of signals 1, 2, 3 … in order (signal(7)); MIPS has its own numbering.
const NAMES: &[u8] = if cfg!(target_arch = "mips64") {
    b"HUP INT QUIT ILL TRAP ABRT EMT FPE KILL BUS SEGV SYS PIPE ALRM TERM USR1 USR2 CHLD PWR \
      WINCH URG IO STOP TSTP CONT TTIN TTOU VTALRM PROF XCPU XFSZ"
} else {
    b"HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP \
      TSTP TTIN TTOU URG XCPU XFSZ VTALRM PROF WINCH IO PWR SYS"
};

/// The first real-time signal that programs may use; C libraries reserve 32 and 33.
const RTMIN: u8 = 34;
/// The highest signal. MIPS also has signal 128, which a wait status cannot represent.
pub const MAX: u8 = if cfg!(target_arch = "mips64") { 127 } else { 64 };

/// A signal number that exists on this platform: 1 to [`MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signal(u8);

impl Signal {
    pub const HUP: Signal = Signal(1);
    pub const KILL: Signal = Signal(9);
    pub const PIPE: Signal = Signal(13);
    pub const TERM: Signal = Signal(15);
    pub const CHLD: Signal = Signal::by_arch(17, 18);
    pub const CONT: Signal = Signal::by_arch(18, 25);
    pub const TSTP: Signal = Signal::by_arch(20, 24);
    pub const TTOU: Signal = Signal::by_arch(22, 27);

    const fn by_arch(usual: u8, mips: u8) -> Signal {
        Signal(if cfg!(target_arch = "mips64") { mips } else { usual })
    }

    /// Returns the signal with this number, if there is one.
    pub const fn new(number: u32) -> Option<Signal> {
        if number >= 1 && number <= MAX as u32 { Some(Signal(number as u8)) } else { None }
    }

    /// Returns the number that the kernel uses.
    pub const fn number(self) -> u8 {
        self.0
    }

    /// Returns whether a signal with this `si_code` is a message from a sender. Otherwise it
    /// concerns the receiver itself: a fault that the receiver caused, or the exit of a child.
    pub const fn is_message(self, code: i32) -> bool {
        // ILL, TRAP, BUS (EMT on MIPS), FPE and SEGV; then SYS, or on MIPS BUS and SYS.
        let fault = matches!(
            (self.0, cfg!(target_arch = "mips64")),
            (4 | 5 | 7 | 8 | 11, _) | (31, false) | (10 | 12, true)
        );
        code <= 0 || !(fault || self.0 == Signal::CHLD.0)
    }

    /// Parses a number or a name, in upper or lower case, with or without `SIG`: `15`, `TERM`,
    /// `sigterm`, `RTMIN+3`, `RTMAX-1`.
    pub fn parse(text: &[u8]) -> Option<Signal> {
        if let Some(number) = decimal(text) {
            return Signal::new(number);
        }
        let mut upper = [0; 16];
        for (place, byte) in upper.iter_mut().zip(text) {
            *place = byte.to_ascii_uppercase();
        }
        let upper = upper.get(..text.len())?;
        let name = after(upper, b"SIG").unwrap_or(upper);
        let number = match place(NAMES, name) {
            Some(place) => u32::from(place) + 1,
            None => real_time(name)?,
        };
        Signal::new(number)
    }
}

/// Returns the number of `RTMIN`, `RTMIN+n`, `RTMAX` or `RTMAX-n`.
fn real_time(name: &[u8]) -> Option<u32> {
    let (up, offset) = match after(name, b"RTMIN") {
        Some(offset) => (true, offset),
        None => (false, after(name, b"RTMAX")?),
    };
    let (lowest, highest) = (u32::from(RTMIN), u32::from(MAX));
    let offset = match offset {
        [] => 0,
        [b'+', digits @ ..] if up => decimal(digits)?,
        [b'-', digits @ ..] if !up => decimal(digits)?,
        _ => return None,
    };
    if offset > highest - lowest {
        return None;
    }
    Some(if up { lowest + offset } else { highest - offset })
}

/// What each signal is rewritten to before it is forwarded: 0 leaves the signal unchanged,
/// [`DROPPED`] drops it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rewrites([u8; MAX as usize + 1]);

const DROPPED: u8 = 0xff;

impl Rewrites {
    /// Leaves every signal unchanged.
    pub const NONE: Rewrites = Rewrites([0; MAX as usize + 1]);

    /// Returns [`Rewrites::NONE`], created by code.
    pub fn none() -> Rewrites {
        Rewrites(core::array::from_fn(|_| 0))
    }

    /// Returns the signal to send when `signal` arrives; `None` if nothing is to be sent.
    pub fn get(&self, signal: Signal) -> Option<Signal> {
        match self.0.get(usize::from(signal.0)) {
            Some(0) | None => Some(signal),
            Some(&number) => Signal::new(u32::from(number)),
        }
    }

    /// Parses `FROM:TO` and adds it to the table; `FROM:` and `FROM:0` drop the signal. Returns
    /// false if the rule is invalid.
    pub fn set(&mut self, rule: &[u8]) -> bool {
        let (from, to) = cut(rule, b':');
        let (Some(from), Some(to)) = (Signal::parse(from), to) else { return false };
        let number = match (to, Signal::parse(to)) {
            (_, Some(signal)) => signal.0,
            (b"" | b"0", None) => DROPPED,
            _ => return false,
        };
        if let Some(entry) = self.0.get_mut(usize::from(from.0)) {
            *entry = number;
        }
        true
    }
}
