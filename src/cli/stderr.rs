//! Lines on standard error: text in colours, above the lines that show progress.

use crate::unseen::{printable, printable_json};
use console::{StyledObject, style};
use indicatif::{MultiProgress, ProgressDrawTarget};
use std::io::Write;
use std::sync::OnceLock;

/// The lines on the terminal. Everything else that is printed has to go above them.
static DRAWN: OnceLock<MultiProgress> = OnceLock::new();

/// Returns the progress lines on the terminal.
pub fn drawn() -> &'static MultiProgress {
    DRAWN.get_or_init(|| MultiProgress::with_draw_target(ProgressDrawTarget::stderr()))
}

/// Prints something without disturbing the progress lines.
pub fn above<T>(print: impl FnOnce() -> T) -> T {
    drawn().suspend(print)
}

/// Prints a line on standard error. Errors are ignored, because standard error may be closed.
pub fn say(text: &str) {
    above(|| drop(writeln!(std::io::stderr(), "{}", printable(text))));
}

/// Prints JSON on standard error.
pub fn say_json(json: &str) {
    above(|| drop(writeln!(std::io::stderr(), "{}", printable_json(json))));
}

/// Prints a line with a coloured label, if standard error is a terminal with colours.
pub fn say_as(label: &StyledObject<&str>, text: &str) {
    above(|| drop(writeln!(std::io::stderr(), "{label} {}", printable(text))));
}

/// Returns a label that has colours if standard error shows them.
pub fn label(text: &str) -> StyledObject<&str> {
    style(text).for_stderr()
}
