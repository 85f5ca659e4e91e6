//! The kinds of shells, and shells that remain as PID 1.

use crate::inspect::files::{Mark, Marks};
use crate::inspect::programs::Init;
use crate::inspect::verdict::{Answer, InitFound, Pid1};

/// A kind of shell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShellKind {
    /// GNU bash.
    Bash,
    /// Debian's dash.
    Dash,
    /// BusyBox's shell.
    Ash,
    /// Another shell with similar syntax.
    Other,
}

/// A shell that remains running.
#[derive(Debug, Clone)]
pub struct Stay {
    /// The shell, or its script.
    pub pid1: Pid1,
    /// The kind of shell, if it is known.
    pub kind: Option<ShellKind>,
    /// The commands that it waits for, described for people; `None` if it reads commands.
    pub service: Option<String>,
    /// Whether it forwards the stop signal.
    pub forwards: Answer,
    /// Whether it reacts to the stop signal at all.
    pub has_trap: bool,
    /// An init that it runs as a child.
    pub init: Option<(Init, InitFound)>,
}

/// Returns whether a name is one of BusyBox's shell.
pub fn is_ash(name: &str) -> bool {
    matches!(name, "sh" | "ash")
}

/// Returns the shell that a program is; `Some(None)` for a shell of unknown kind.
pub fn of(names: &[&str], marks: Marks) -> Option<Option<ShellKind>> {
    let is_shell =
        |name: &&&str| matches!(**name, "sh" | "bash" | "dash" | "ash" | "ksh" | "mksh" | "zsh" | "rbash");
    let name = names.iter().find(is_shell)?;
    if marks.has(Mark::BusyBox) || names.contains(&"busybox") || *name == "ash" {
        return Some(Some(ShellKind::Ash));
    }
    if marks.has(Mark::Bash) || names.contains(&"bash") || names.contains(&"rbash") {
        return Some(Some(ShellKind::Bash));
    }
    let real = names.last().copied().unwrap_or(name);
    Some(match real {
        "dash" => Some(ShellKind::Dash),
        "sh" => None,
        _ => Some(ShellKind::Other),
    })
}
