//! Lines on standard error: text in colours, above the lines that show progress.

use crate::unseen::{printable, printable_json};
use console::{StyledObject, style};
use indicatif::{MultiProgress, ProgressDrawTarget};
use std::io::Write;
use std::sync::{Mutex, OnceLock, PoisonError};

/// The lines on the terminal. Everything else that is printed has to go above them.
static DRAWN: OnceLock<MultiProgress> = OnceLock::new();

fn drawn() -> &'static MultiProgress {
    DRAWN.get_or_init(|| MultiProgress::with_draw_target(ProgressDrawTarget::stderr()))
}

/// Whether the progress lines may still be drawn.
static MAY_DRAW: Mutex<bool> = Mutex::new(true);

/// Draws progress lines, unless the program is about to end. Returns whether they may be drawn again.
pub fn draw(frame: impl FnOnce(&MultiProgress)) -> bool {
    let may_draw = MAY_DRAW.lock().unwrap_or_else(PoisonError::into_inner);
    if *may_draw {
        frame(drawn());
    }
    *may_draw
}

/// Clears the progress lines for good, before the program says why it ends.
pub fn stop_drawing() {
    let mut may_draw = MAY_DRAW.lock().unwrap_or_else(PoisonError::into_inner);
    *may_draw = false;
    // Errors are ignored, because the lines are no longer needed.
    let _ = drawn().clear();
    // What is printed next must not draw them again.
    drawn().set_draw_target(ProgressDrawTarget::hidden());
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
