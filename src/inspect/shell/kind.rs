//! Which shell a program is, and a shell that stays.

use crate::inspect::files::{Mark, Marks};
use crate::inspect::programs::Init;
use crate::inspect::verdict::{Answer, InitFound, Pid1};

/// The shells that are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShellKind {
    /// GNU bash.
    Bash,
    /// Debian's dash.
    Dash,
    /// BusyBox's shell.
    Ash,
    /// Another shell with the syntax of these.
    Other,
}

/// A shell that stays.
#[derive(Debug, Clone)]
pub struct Stay {
    /// The shell, or its script.
    pub pid1: Pid1,
    /// Which shell it is.
    pub kind: Option<ShellKind>,
    /// What it waits for, for people; `None`: it reads commands.
    pub service: Option<String>,
    /// Whether it passes the stop signal on.
    pub forwards: Answer,
    /// Whether it acts on the stop signal at all.
    pub has_trap: bool,
    /// An init that it runs as a child.
    pub init: Option<(Init, InitFound)>,
}

/// Whether a name is one of BusyBox's shell.
pub fn is_ash(name: &str) -> bool {
    matches!(name, "sh" | "ash")
}

/// The shell that a program is. `Some(None)`: a shell, but which one is not known.
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
