//! The command line and the environment: tini's options, two of dumb-init's, and the reaper's own.

use core::fmt;

use crate::signal::{Rewrites, Signal};
use crate::text::{after, cut, decimal, place, same};

/// The settings of the init.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Whether to become a subreaper if the init is not PID 1 (`-s`, and by default).
    pub subreaper: bool,
    /// Whether to forward signals to the main process's whole process group (`-g`).
    pub group: bool,
    /// The milliseconds between TERM and KILL for the processes that remain after the main process
    /// (`-t`).
    pub grace_ms: u32,
    /// Whether to warn about each orphan that is reaped (`-w`).
    pub warn_reaped: bool,
    /// The verbosity: 0 nothing, 1 errors, 2 also a summary at exit, 3 also each signal (`-v`).
    pub verbosity: u32,
    /// The signal to receive when the parent dies (`-p`).
    pub parent_death: Option<Signal>,
    /// The exit codes that are replaced by 0 (`-e`).
    pub expected: Codes,
    /// The signals that are replaced or dropped before they are forwarded (`-r`).
    pub rewrites: Rewrites,
}

impl Options {
    /// The default options.
    pub const DEFAULT: Options = Options {
        subreaper: true,
        group: false,
        grace_ms: 3000,
        warn_reaped: false,
        verbosity: 1,
        parent_death: None,
        expected: Codes([0; 8]),
        rewrites: Rewrites::NONE,
    };

    /// Applies the `NAME=value` entries of the environment. They take precedence over the command
    /// line, because the command line is stored in an image and they are not; `REAPER_*` takes
    /// precedence over `TINI_*`. An entry with an invalid value changes nothing; it is passed to
    /// `reject` unless the verbosity is 0.
    #[inline(never)] // This makes the file smaller.
    pub fn environment<'a>(
        &mut self,
        entries: impl Iterator<Item = &'a [u8]> + Clone,
        mut reject: impl FnMut(&'a [u8]),
    ) {
        for rank in 0..RANKS {
            for entry in entries.clone() {
                // Skip entries with other names, which are the majority, because looking up a name
                // is slow.
                if !matches!(entry, [b'R' | b'T', ..]) {
                    continue;
                }
                let (name, value) = cut(entry, b'=');
                if let Some(value) = value
                    && let Some(setting) = place(NAMES, name)
                    && setting / RANK == rank
                    && !self.set(setting, value)
                    && self.verbosity > 0
                {
                    reject(entry);
                }
            }
        }
    }

    /// Applies one setting; returns false if its value is invalid. tini treats any value as "on".
    #[inline(never)]
    fn set(&mut self, setting: u8, value: &[u8]) -> bool {
        let on = !matches!(value, b"" | b"0");
        match setting {
            0 => self.subreaper = true,
            1 => self.group = true,
            3 => self.subreaper = on,
            4 => self.group = on,
            6 => return store(&mut self.grace_ms, milliseconds(value)),
            _ => return store(&mut self.verbosity, decimal(value)),
        }
        true
    }
}

/// The names of the settings in the environment, three per rank. The settings of a higher rank are
/// applied later and take precedence.
const NAMES: &[u8] = b"TINI_SUBREAPER TINI_KILL_PROCESS_GROUP TINI_VERBOSITY \
    REAPER_SUBREAPER REAPER_GROUP REAPER_VERBOSITY REAPER_GRACE";
const RANK: u8 = 3;
const RANKS: u8 = 3;

/// The long options, and the letters with the same meaning. dumb-init has the long options too.
const LONG: &[u8] = b"help version verbose single-child rewrite";
const LETTERS: [u8; 5] = *b"hVvcr";

/// A set of exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Codes([u32; 8]);

impl Codes {
    /// Adds a code; returns false if it is not an exit code.
    fn insert(&mut self, code: Option<u32>) -> bool {
        let Some(code) = code else { return false };
        match self.0.get_mut((code >> 5) as usize) {
            Some(word) => *word |= 1 << (code & 31),
            None => return false,
        }
        true
    }

    /// Returns whether the set contains this code.
    pub fn contains(&self, code: u8) -> bool {
        self.0.get(usize::from(code >> 5)).is_some_and(|word| word >> (code & 31) & 1 == 1)
    }
}

/// The action that the command line requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// Start the program that follows the options.
    Run,
    Help,
    Version,
    License,
}

/// A command line, parsed up to the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parsed {
    pub request: Request,
    pub options: Options,
    /// The number of arguments that are options, values of options, or the `--` after them. The
    /// remaining arguments are the program and its arguments.
    pub consumed: usize,
}

/// The reason why a command line is invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Error<'a> {
    pub fault: Fault,
    /// The invalid argument.
    pub argument: &'a [u8],
}

/// The fault in an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    UnknownOption,
    MissingValue,
    UnexpectedValue,
    BadSignal,
    BadCode,
    BadGrace,
    BadRewrite,
}

impl Fault {
    /// Returns the error message, in which `$` stands for the argument.
    pub const fn complaint(self) -> &'static str {
        match self {
            Fault::UnknownOption => "unknown option: $",
            Fault::MissingValue => "a value is missing after $",
            Fault::UnexpectedValue => "no value is expected: $",
            Fault::BadSignal => "not a signal: $",
            Fault::BadCode => "not an exit code: $",
            Fault::BadGrace => "not seconds: $",
            Fault::BadRewrite => "not FROM:TO of signals: $",
        }
    }
}

impl fmt::Display for Error<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let complaint = self.fault.complaint().trim_end_matches('$');
        write!(f, "{complaint}{}", self.argument.escape_ascii())
    }
}

impl core::error::Error for Error<'_> {}

/// Parses the arguments after the init's own name, up to `--` or the first operand, in the same way
/// as getopt(3): `-gv`, `-e143`, `-e 143`, `--rewrite=15:2`.
pub fn parse<'a>(args: impl Iterator<Item = &'a [u8]>) -> Result<Parsed, Error<'a>> {
    let mut parsed = Parsed::nothing();
    parsed.read(args).map(|()| parsed)
}

const fn takes_value(letter: u8) -> bool {
    matches!(letter, b'p' | b'e' | b't' | b'r')
}

impl Parsed {
    /// Returns an empty command line. Most of its bytes are 0, so code that creates it is smaller
    /// than a constant.
    pub fn nothing() -> Parsed {
        let expected = Codes(core::array::from_fn(|_| 0));
        let rewrites = Rewrites::none();
        let options = Options { expected, rewrites, ..Options::DEFAULT };
        Parsed { request: Request::Run, options, consumed: 0 }
    }

    /// Parses like [`parse`], but in place.
    #[inline(never)]
    pub fn read<'a>(&mut self, mut args: impl Iterator<Item = &'a [u8]>) -> Result<(), Error<'a>> {
        while self.request == Request::Run
            && let Some(mut argument) = args.next()
            && let Some(mut letters) = after(argument, b"-")
            && !letters.is_empty()
        {
            self.consumed += 1;
            if same(letters, b"-") {
                break;
            }
            let mut value = None;
            if let Some(long) = after(letters, b"-") {
                let name;
                (name, value) = cut(long, b'=');
                let known = place(LONG, name).map(usize::from);
                letters = known.and_then(|known| LETTERS.get(known..=known)).unwrap_or(b"?");
                if value.is_some() && !letters.iter().any(|&letter| takes_value(letter)) {
                    return Err(Error { fault: Fault::UnexpectedValue, argument });
                }
            }
            while let [letter, rest @ ..] = letters {
                letters = rest;
                let mut text: &[u8] = b"";
                if takes_value(*letter) {
                    if value.is_none() && letters.is_empty() {
                        value = args.next();
                        self.consumed += 1;
                    }
                    let Some(given) = value.or(Some(letters).filter(|rest| !rest.is_empty()))
                    else {
                        return Err(Error { fault: Fault::MissingValue, argument });
                    };
                    (text, argument, letters) = (given, given, b"");
                }
                if let Some(fault) = self.option(*letter, text) {
                    return Err(Error { fault, argument });
                }
            }
        }
        Ok(())
    }

    /// Applies one option; returns the fault if it is invalid.
    #[inline(never)]
    fn option(&mut self, letter: u8, value: &[u8]) -> Option<Fault> {
        let options = &mut self.options;
        let (understood, fault) = match letter {
            b'p' => {
                options.parent_death = Signal::parse(value);
                (options.parent_death.is_some(), Fault::BadSignal)
            }
            b'e' => (options.expected.insert(decimal(value)), Fault::BadCode),
            b't' => (store(&mut options.grace_ms, milliseconds(value)), Fault::BadGrace),
            b'r' => (options.rewrites.set(value), Fault::BadRewrite),
            _ => (self.switch(letter), Fault::UnknownOption),
        };
        if understood { None } else { Some(fault) }
    }

    /// Applies an option without a value; returns false if there is no such option.
    fn switch(&mut self, letter: u8) -> bool {
        let options = &mut self.options;
        match letter {
            b's' => options.subreaper = true,
            b'g' => options.group = true,
            b'c' => options.group = false,
            b'w' => options.warn_reaped = true,
            b'v' => options.verbosity = options.verbosity.saturating_add(1),
            b'h' => self.request = Request::Help,
            b'V' => self.request = Request::Version,
            b'l' => self.request = Request::License,
            _ => return false,
        }
        true
    }
}

/// Stores the value if it is valid; returns whether it is.
fn store(place: &mut u32, value: Option<u32>) -> bool {
    *place = value.unwrap_or(*place);
    value.is_some()
}

/// Parses seconds with up to three decimals, such as `3` or `0.25`; returns milliseconds.
fn milliseconds(text: &[u8]) -> Option<u32> {
    let (seconds, fraction) = cut(text, b'.');
    let fraction = fraction.unwrap_or(b"0");
    let mut milliseconds = decimal(fraction)?;
    for _ in 0..3usize.checked_sub(fraction.len())? {
        milliseconds *= 10;
    }
    decimal(seconds)?.checked_mul(1000)?.checked_add(milliseconds)
}
