//! Signal names and numbers, and the rewriting of one signal to another.

/// The names of signals 1, 2, 3 … in order (signal(7); MIPS numbers them its own way).
const NAMES: &[u8] = if cfg!(target_arch = "mips64") {
    b"HUP INT QUIT ILL TRAP ABRT EMT FPE KILL BUS SEGV SYS PIPE ALRM TERM USR1 USR2 CHLD PWR \
      WINCH URG IO STOP TSTP CONT TTIN TTOU VTALRM PROF XCPU XFSZ"
} else {
    b"HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP \
      TSTP TTIN TTOU URG XCPU XFSZ VTALRM PROF WINCH IO PWR SYS"
};

/// The first real-time signal that programs may use: C libraries keep 32 and 33 to themselves.
const RTMIN: u8 = 34;
/// The highest signal. MIPS has 128, the last of which no wait status can tell.
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
    pub const TTIN: Signal = Signal::by_arch(21, 26);
    pub const TTOU: Signal = Signal::by_arch(22, 27);

    const fn by_arch(usual: u8, mips: u8) -> Signal {
        Signal(if cfg!(target_arch = "mips64") { mips } else { usual })
    }

    /// The signal of this number, if there is one.
    pub const fn new(number: u32) -> Option<Signal> {
        if number >= 1 && number <= MAX as u32 { Some(Signal(number as u8)) } else { None }
    }

    /// The number, as the kernel counts.
    pub const fn number(self) -> u8 {
        self.0
    }

    /// Whether a signal with this `si_code` is a message that somebody sent. Otherwise it is about
    /// the receiver itself: a fault of its own, or the end of a child.
    pub const fn is_message(self, code: i32) -> bool {
        // ILL, TRAP, BUS or EMT, FPE, BUS, SEGV, SYS.
        let fault = matches!(
            (self.0, cfg!(target_arch = "mips64")),
            (4 | 5 | 7 | 8 | 11, _) | (31, false) | (10 | 12, true)
        );
        code <= 0 || !(fault || self.0 == Signal::CHLD.0)
    }

    /// Reads a number or a name in either case, with or without `SIG`: `15`, `TERM`, `sigterm`,
    /// `RTMIN+3`, `RTMAX-1`.
    pub fn parse(text: &[u8]) -> Option<Signal> {
        if let Some(number) = decimal(text) {
            return Signal::new(number);
        }
        let name = match text.split_at_checked(3) {
            Some((prefix, name)) if prefix.eq_ignore_ascii_case(b"SIG") => name,
            _ => text,
        };
        let alias = [(b"IOT".as_slice(), b"ABRT".as_slice()), (b"CLD", b"CHLD"), (b"POLL", b"IO")]
            .iter()
            .find(|(alias, _)| name.eq_ignore_ascii_case(alias))
            .map_or(name, |(_, name)| name);
        let mut number = 0;
        for candidate in NAMES.split(|&byte| byte == b' ') {
            number += 1;
            if alias.eq_ignore_ascii_case(candidate) {
                return Some(Signal(number));
            }
        }
        real_time(name)
    }
}

/// `RTMIN`, `RTMIN+n`, `RTMAX`, `RTMAX-n`.
fn real_time(name: &[u8]) -> Option<Signal> {
    let (base, rest) = name.split_at_checked(5)?;
    let offset = |sign| match rest.split_first() {
        None => Some(0),
        Some((first, digits)) if *first == sign => decimal(digits),
        Some(_) => None,
    };
    let number = if base.eq_ignore_ascii_case(b"RTMIN") {
        offset(b'+')?.checked_add(u32::from(RTMIN))?
    } else if base.eq_ignore_ascii_case(b"RTMAX") {
        u32::from(MAX).checked_sub(offset(b'-')?)?
    } else {
        return None;
    };
    Signal::new(number).filter(|signal| signal.0 >= RTMIN)
}

/// The text before the first such byte, and the text after it if there is one.
pub fn cut(text: &[u8], at: u8) -> (&[u8], Option<&[u8]>) {
    match text.iter().position(|&byte| byte == at) {
        Some(index) => match text.split_at_checked(index) {
            Some((head, [_, tail @ ..])) => (head, Some(tail)),
            _ => (text, None),
        },
        None => (text, None),
    }
}

/// A decimal number of nothing but digits, at least one.
pub fn decimal(text: &[u8]) -> Option<u32> {
    if text.is_empty() {
        return None;
    }
    let mut value = 0u32;
    for byte in text {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value.checked_mul(10)?.checked_add(u32::from(digit))?;
    }
    Some(value)
}

/// What each signal becomes before it is forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rewrites([u8; MAX as usize + 1]);

impl Rewrites {
    /// Every signal stays what it is.
    pub const NONE: Rewrites = {
        let mut table = [0; MAX as usize + 1];
        let mut number = 0;
        while number <= MAX {
            table[number as usize] = number;
            number += 1;
        }
        Rewrites(table)
    };

    /// What to send when `signal` arrives; `None` is nothing.
    pub fn get(&self, signal: Signal) -> Option<Signal> {
        let to = self.0.get(usize::from(signal.0)).copied().unwrap_or(signal.0);
        Signal::new(u32::from(to))
    }

    /// Reads `FROM:TO` into the table; `FROM:` and `FROM:0` drop the signal. False if it is neither.
    pub fn set(&mut self, rule: &[u8]) -> bool {
        let (from, to) = cut(rule, b':');
        let (Some(from), Some(to)) = (Signal::parse(from), to) else { return false };
        let to = match to {
            b"" | b"0" => 0,
            name => match Signal::parse(name) {
                Some(signal) => signal.0,
                None => return false,
            },
        };
        if let Some(entry) = self.0.get_mut(usize::from(from.0)) {
            *entry = to;
        }
        true
    }
}
