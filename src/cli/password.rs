//! Passwords that are not on the command line. Each is read only once, even if it is used for several places.

use super::stderr::above;
use crate::error::{Context, Error, Result};
use std::collections::HashMap;
use std::io::{IsTerminal, Read};
use std::sync::{Mutex, PoisonError};

/// The maximum length of a password on standard input.
const LONGEST: u64 = 64 << 10;

/// The passwords that the user typed, by user name.
static TYPED: Mutex<Option<HashMap<String, String>>> = Mutex::new(None);

/// Reads a password from standard input.
pub fn from_stdin() -> Result<String> {
    let mut password = String::new();
    std::io::stdin()
        .take(LONGEST)
        .read_to_string(&mut password)
        .context(|| "the password on standard input")?;
    Ok(password.trim_end_matches(['\n', '\r']).into())
}

/// Asks for a user's password. Returns `None` if there is no terminal.
pub fn ask(user: &str) -> Result<Option<String>> {
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return Ok(None);
    }
    let mut typed = TYPED.lock().unwrap_or_else(PoisonError::into_inner);
    let typed = typed.get_or_insert_default();
    if let Some(password) = typed.get(user) {
        return Ok(Some(password.clone()));
    }
    let password = above(|| {
        let terminal = console::Term::stderr();
        terminal.write_str(&format!("Password for {user}: "))?;
        terminal.read_secure_line()
    });
    let password = password.map_err(|e| Error::usage(format!("cannot read the password for {user}: {e}")))?;
    typed.insert(user.to_owned(), password.clone());
    Ok(Some(password))
}
