//! Passwords that are not on the command line.

use crate::error::{Context, Error, Result};
use rustix::io::Errno;
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};
use std::io::{IsTerminal, Read, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The maximum length of a password on standard input.
const LONGEST: u64 = 64 << 10;

/// Reads the password of the user whom an option or a variable names from standard input.
pub fn from_stdin(named_by: &str) -> Result<String> {
    let mut password = String::new();
    std::io::stdin()
        .take(LONGEST)
        .read_to_string(&mut password)
        .context(|| "the password on standard input")?;
    let password = password.trim_end_matches(['\n', '\r']);
    if password.is_empty() {
        return Err(empty(format!("standard input has no password for {named_by}")));
    }
    Ok(password.into())
}

fn empty(message: String) -> Error {
    Error::usage(message).hint("write USER: with a colon if the password is empty")
}

/// Asks for the password of a user whom an option or a variable names, on registry `hosts` as far as they are known.
/// Fails if there is no terminal. The error does not show the user, which may be a token.
pub fn ask(user: &str, hosts: &[&str], named_by: &str) -> Result<String> {
    for (name, is_terminal) in
        [("input", std::io::stdin().is_terminal()), ("error", std::io::stderr().is_terminal())]
    {
        if !is_terminal {
            let message = format!("{named_by} has no password, and standard {name} is not a terminal");
            return Err(Error::usage(message).hint(other_ways(named_by)));
        }
    }
    let at = if hosts.is_empty() { String::new() } else { format!(" at {}", hosts.join(" and ")) };
    let question = format!("Password for {user}{at} ({named_by}): ");
    match read_hidden(&question) {
        Ok(password) if password.is_empty() => Err(empty(format!("no password was entered for {named_by}"))),
        Ok(password) => Ok(password),
        Err(e) => Err(Error::usage(format!("cannot read the password for {named_by}: {e}"))),
    }
}

/// The terminal's modes before a question that is not answered yet.
static ASKED: Mutex<Option<Termios>> = Mutex::new(None);

fn asked() -> MutexGuard<'static, Option<Termios>> {
    ASKED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Asks a question, and reads the answer, which the terminal does not show.
fn read_hidden(question: &str) -> std::io::Result<String> {
    let mut modes = tcgetattr(std::io::stdin())?;
    *asked() = Some(modes.clone());
    modes.local_modes.remove(LocalModes::ECHO);
    modes.local_modes.insert(LocalModes::ECHONL);
    // A stopped or a killed program would leave the terminal without echo. Signals that it can handle restore it.
    for key in [SpecialCodeIndex::VSUSP, SpecialCodeIndex::VQUIT] {
        modes.special_codes[key] = DISABLED;
    }
    let mut answer = String::new();
    let read = set_modes(&modes).and_then(|()| {
        std::io::stderr().write_all(question.as_bytes())?;
        std::io::stdin().read_line(&mut answer)
    });
    if !answer.ends_with('\n') {
        let _ = std::io::stderr().write_all(b"\n");
    }
    restore();
    read?;
    let answer = answer.trim_end_matches(['\n', '\r']);
    match answer.contains(char::is_control) {
        true => Err(std::io::Error::other("it has a control character")),
        false => Ok(answer.to_owned()),
    }
}

/// The value of a key that has no effect (`_POSIX_VDISABLE`).
const DISABLED: u8 = 0;

/// Sets the modes of the terminal, and discards what was typed before.
fn set_modes(modes: &Termios) -> std::io::Result<()> {
    loop {
        match tcsetattr(std::io::stdin(), OptionalActions::Flush, modes) {
            Err(Errno::INTR) => {}
            set => return Ok(set?),
        }
    }
}

/// Restores the terminal; returns whether a question was open.
fn restore() -> bool {
    asked().take().map(|modes| set_modes(&modes)).is_some()
}

/// Gives up a question that is not answered yet: restores the terminal, and ends the line of the question. Returns
/// whether there was one.
pub fn give_up() -> bool {
    let was_open = restore();
    if was_open {
        let _ = std::io::stderr().write_all(b"\n");
    }
    was_open
}

/// Returns how to give a password without a terminal.
fn other_ways(named_by: &str) -> String {
    let way = match named_by {
        "--src-creds" | "REAPIFY_SRC_CREDS" => "--src-password-stdin",
        "--dest-creds" | "REAPIFY_DEST_CREDS" => "--dest-password-stdin",
        "--source-creds" | "REAPIFY_SOURCE_CREDS" => "--source-password-stdin",
        _ => "--src-creds with --src-password-stdin",
    };
    format!("use {way}, or write USER:PASSWORD, in which the password may be empty")
}
