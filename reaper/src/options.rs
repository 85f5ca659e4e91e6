//! The command line and the environment: tini's flags, dumb-init's two, and our own.

use core::fmt;

use crate::signal::{Rewrites, Signal, cut, decimal};

/// What the init was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Become a subreaper when not PID 1 (`-s`, and by default).
    pub subreaper: bool,
    /// Forward signals to the main process's whole group (`-g`).
    pub group: bool,
    /// Milliseconds between TERM and KILL for what the main process leaves behind (`-t`).
    pub grace_ms: u32,
    /// Warn about each orphan reaped (`-w`).
    pub warn_reaped: bool,
    /// 0 nothing, 1 what went wrong, 2 a summary at exit, 3 each signal too (`-v`).
    pub verbosity: u32,
    /// The signal to get when the parent dies (`-p`).
    pub parent_death: Option<Signal>,
    /// The exit codes that count as 0 (`-e`).
    pub expected: Codes,
    /// What signals become before they are forwarded (`-r`).
    pub rewrites: Rewrites,
}

impl Options {
    /// What holds when nothing is said.
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

    /// Applies the environment's `NAME=value` entries. They win over the command line, for that is
    /// baked into an image and they are not; `REAPER_*` wins over `TINI_*`. Returns an entry that
    /// was not understood, and leaves that setting alone.
    pub fn environment<'a>(
        &mut self,
        entries: impl Iterator<Item = &'a [u8]> + Clone,
    ) -> Option<&'a [u8]> {
        let mut rejected = None;
        for prefix in [b"TINI_".as_slice(), b"REAPER_"] {
            for entry in entries.clone() {
                let Some(setting) = entry.strip_prefix(prefix) else { continue };
                if !self.setting(setting, prefix.len() == 5) {
                    rejected = Some(entry);
                }
            }
        }
        rejected
    }

    /// Applies one entry without its prefix; false if its value makes no sense. To tini a switch is
    /// on once it is set, to whatever.
    fn setting(&mut self, setting: &[u8], tini: bool) -> bool {
        let (name, Some(value)) = cut(setting, b'=') else { return true };
        let on = tini || !matches!(value, b"0" | b"");
        match (name, tini) {
            (b"SUBREAPER", _) => self.subreaper = on,
            (b"KILL_PROCESS_GROUP", true) | (b"GROUP", false) => self.group = on,
            (b"VERBOSITY", _) => return store(&mut self.verbosity, decimal(value)),
            (b"GRACE", false) => return store(&mut self.grace_ms, milliseconds(value)),
            _ => {}
        }
        true
    }
}

/// A set of exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Codes([u32; 8]);

impl Codes {
    fn insert(&mut self, code: u8) {
        if let Some(word) = self.0.get_mut(usize::from(code >> 5)) {
            *word |= 1 << (code & 31);
        }
    }

    /// Whether this code is in the set.
    pub fn contains(&self, code: u8) -> bool {
        self.0.get(usize::from(code >> 5)).is_some_and(|word| word >> (code & 31) & 1 == 1)
    }
}

/// What the command line asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// Start the program that follows.
    Run,
    Help,
    Version,
    License,
}

/// A command line, read up to the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parsed {
    pub request: Request,
    pub options: Options,
    /// How many arguments were options, their values, and the `--` after them: the rest is the
    /// program and its arguments.
    pub consumed: usize,
}

/// Why a command line was refused, with the argument at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error<'a> {
    UnknownOption(&'a [u8]),
    MissingValue(&'a [u8]),
    UnexpectedValue(&'a [u8]),
    BadSignal(&'a [u8]),
    BadCode(&'a [u8]),
    BadGrace(&'a [u8]),
    BadRewrite(&'a [u8]),
}

impl<'a> Error<'a> {
    /// The complaint, and the argument it is about.
    pub const fn parts(self) -> (&'static str, &'a [u8]) {
        match self {
            Error::UnknownOption(arg) => ("unknown option", arg),
            Error::MissingValue(arg) => ("this option needs a value", arg),
            Error::UnexpectedValue(arg) => ("this option takes no value", arg),
            Error::BadSignal(arg) => ("not a signal", arg),
            Error::BadCode(arg) => ("not an exit code from 0 to 255", arg),
            Error::BadGrace(arg) => ("not a number of seconds", arg),
            Error::BadRewrite(arg) => ("not a rewrite FROM:TO of signals", arg),
        }
    }
}

impl fmt::Display for Error<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (complaint, argument) = self.parts();
        write!(f, "{complaint}: {}", argument.escape_ascii())
    }
}

impl core::error::Error for Error<'_> {}

/// Reads the arguments after the init's own name, up to `--` or the first operand, the way
/// getopt(3) does: `-gv`, `-e143`, `-e 143`, `--rewrite=15:2`.
pub fn parse<'a>(mut args: impl Iterator<Item = &'a [u8]>) -> Result<Parsed, Error<'a>> {
    let mut parsed = Parsed { request: Request::Run, options: Options::DEFAULT, consumed: 0 };
    while parsed.request == Request::Run {
        let Some(arg) = args.next() else { break };
        let Some(flags) = arg.strip_prefix(b"-").filter(|flags| !flags.is_empty()) else { break };
        parsed.consumed += 1;
        if let Some(long) = flags.strip_prefix(b"-") {
            if long.is_empty() {
                break;
            }
            parsed.long(arg, long, &mut args)?;
        } else {
            parsed.cluster(arg, flags, &mut args)?;
        }
    }
    Ok(parsed)
}

impl Parsed {
    /// `--name`, `--name value`, `--name=value`.
    fn long<'a>(
        &mut self,
        arg: &'a [u8],
        long: &'a [u8],
        args: &mut impl Iterator<Item = &'a [u8]>,
    ) -> Result<(), Error<'a>> {
        let (name, value) = cut(long, b'=');
        let flag = match name {
            b"help" => b'h',
            b"version" => b'V',
            b"verbose" => b'v',
            b"single-child" => b'c',
            b"rewrite" => b'r',
            _ => return Err(Error::UnknownOption(arg)),
        };
        match value {
            None if flag != b'r' => self.switch(flag, arg),
            Some(value) if flag == b'r' => self.valued(flag, value),
            Some(_) => Err(Error::UnexpectedValue(arg)),
            None => self.separate(flag, arg, args),
        }
    }

    /// One or several letters; the first that takes a value takes the rest of the argument, or the
    /// next one.
    fn cluster<'a>(
        &mut self,
        arg: &'a [u8],
        mut flags: &'a [u8],
        args: &mut impl Iterator<Item = &'a [u8]>,
    ) -> Result<(), Error<'a>> {
        while let Some((&flag, rest)) = flags.split_first() {
            if matches!(flag, b'p' | b'e' | b't' | b'r') {
                return if rest.is_empty() {
                    self.separate(flag, arg, args)
                } else {
                    self.valued(flag, rest)
                };
            }
            self.switch(flag, arg)?;
            flags = rest;
        }
        Ok(())
    }

    /// An option whose value is the next argument.
    fn separate<'a>(
        &mut self,
        flag: u8,
        arg: &'a [u8],
        args: &mut impl Iterator<Item = &'a [u8]>,
    ) -> Result<(), Error<'a>> {
        let value = args.next().ok_or(Error::MissingValue(arg))?;
        self.consumed += 1;
        self.valued(flag, value)
    }

    fn switch<'a>(&mut self, flag: u8, arg: &'a [u8]) -> Result<(), Error<'a>> {
        let options = &mut self.options;
        match flag {
            b's' => options.subreaper = true,
            b'g' => options.group = true,
            b'c' => options.group = false,
            b'w' => options.warn_reaped = true,
            b'v' => options.verbosity = options.verbosity.saturating_add(1),
            b'h' => self.request = Request::Help,
            b'V' => self.request = Request::Version,
            b'l' => self.request = Request::License,
            _ => return Err(Error::UnknownOption(arg)),
        }
        Ok(())
    }

    fn valued<'a>(&mut self, flag: u8, value: &'a [u8]) -> Result<(), Error<'a>> {
        let options = &mut self.options;
        match flag {
            b'p' => {
                options.parent_death = Some(Signal::parse(value).ok_or(Error::BadSignal(value))?);
            }
            b'e' => {
                let code = decimal(value).and_then(|code| u8::try_from(code).ok());
                options.expected.insert(code.ok_or(Error::BadCode(value))?);
            }
            b't' => options.grace_ms = milliseconds(value).ok_or(Error::BadGrace(value))?,
            _ => {
                if !options.rewrites.set(value) {
                    return Err(Error::BadRewrite(value));
                }
            }
        }
        Ok(())
    }
}

/// Stores a value that was understood; tells whether it was.
fn store(place: &mut u32, value: Option<u32>) -> bool {
    *place = value.unwrap_or(*place);
    value.is_some()
}

/// Reads seconds, with up to three decimals: `3`, `0.25`.
fn milliseconds(text: &[u8]) -> Option<u32> {
    let (seconds, fraction) = cut(text, b'.');
    let seconds = decimal(seconds)?.checked_mul(1000)?;
    let fraction = match fraction {
        None => 0,
        Some(digits) => {
            let scale = match digits.len() {
                1 => 100,
                2 => 10,
                3 => 1,
                _ => return None,
            };
            decimal(digits)? * scale
        }
    };
    seconds.checked_add(fraction)
}
