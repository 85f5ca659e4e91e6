//! Passwords that are not on the command line. Each is read only once, even if it is used for several places.

use super::stderr::above;
use crate::error::{Context, Error, Result};
use std::collections::HashMap;
use std::io::{IsTerminal, Read};
use std::sync::{Mutex, PoisonError};

/// The maximum length of a password on standard input.
const LONGEST: u64 = 64 << 10;

/// The passwords that the user typed, by the option or variable that names the user, and by the user. Options for
/// different places may name users of different registries.
static TYPED: Mutex<Option<HashMap<(String, String), String>>> = Mutex::new(None);

/// Reads the password of the user whom an option or a variable names from standard input.
pub fn from_stdin(named_by: &str) -> Result<String> {
    let mut password = String::new();
    std::io::stdin()
        .take(LONGEST)
        .read_to_string(&mut password)
        .context(|| "the password on standard input")?;
    let password = password.trim_end_matches(['\n', '\r']);
    if password.is_empty() {
        return Err(Error::usage(format!("standard input has no password for {named_by}"))
            .hint("write USER: with a colon if the password is empty"));
    }
    Ok(password.into())
}

/// Asks for the password of a user whom an option or a variable names. Fails if there is no terminal. The error does not
/// show the user, which may be a token.
pub fn ask(user: &str, named_by: &str) -> Result<String> {
    for (name, is_terminal) in
        [("input", std::io::stdin().is_terminal()), ("error", std::io::stderr().is_terminal())]
    {
        if !is_terminal {
            let message = format!("{named_by} has no password, and standard {name} is not a terminal");
            return Err(Error::usage(message).hint(other_ways(named_by)));
        }
    }
    let mut typed = TYPED.lock().unwrap_or_else(PoisonError::into_inner);
    let typed = typed.get_or_insert_default();
    let key = (named_by.to_owned(), user.to_owned());
    if let Some(password) = typed.get(&key) {
        return Ok(password.clone());
    }
    let password = above(|| {
        let terminal = console::Term::stderr();
        terminal.write_str(&format!("Password for {user} ({named_by}): "))?;
        terminal.read_secure_line()
    });
    let password = password.map_err(|e| Error::usage(format!("cannot read the password for {user}: {e}")))?;
    typed.insert(key, password.clone());
    Ok(password)
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
