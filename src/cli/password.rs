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

/// Reads a password from standard input.
pub fn from_stdin() -> Result<String> {
    let mut password = String::new();
    std::io::stdin()
        .take(LONGEST)
        .read_to_string(&mut password)
        .context(|| "the password on standard input")?;
    Ok(password.trim_end_matches(['\n', '\r']).into())
}

/// Asks for the password of a user whom an option or a variable names. Returns `None` if there is no terminal.
pub fn ask(user: &str, named_by: &str) -> Result<Option<String>> {
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return Ok(None);
    }
    let mut typed = TYPED.lock().unwrap_or_else(PoisonError::into_inner);
    let typed = typed.get_or_insert_default();
    let key = (named_by.to_owned(), user.to_owned());
    if let Some(password) = typed.get(&key) {
        return Ok(Some(password.clone()));
    }
    let password = above(|| {
        let terminal = console::Term::stderr();
        terminal.write_str(&format!("Password for {user} ({named_by}): "))?;
        terminal.read_secure_line()
    });
    let password = password.map_err(|e| Error::usage(format!("cannot read the password for {user}: {e}")))?;
    typed.insert(key, password.clone());
    Ok(Some(password))
}
