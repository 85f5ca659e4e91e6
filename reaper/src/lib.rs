//! The init that reapify adds to images: static programs for several platforms, and a library of
//! the decisions that they make.
//!
//! [`prebuilt`] contains the programs. All other modules are pure: they take bytes and numbers, and
//! return values. The programs follow the decisions of these modules, and reapify uses the modules
//! to check a command line before it stores it in an image.
//!
//! - [`options`]: the command line and the environment
//! - [`signal`]: the names and numbers of signals, and how signals are rewritten
//! - [`status`]: the meaning of a wait status, and its exit code
//! - [`stop`]: what to do after the main process has exited
//! - [`lookup`]: where to search for a program, and the meaning of a failed `execve`
//! - [`proc`]: the fields that `/proc` shows of a process
//! - [`text`]: the functions for reading bytes that the other modules share
#![no_std]
#![forbid(unsafe_code)]
// The links stay, because any change to the modules requires new programs: see CONTRIBUTING.md.
#![allow(rustdoc::private_intra_doc_links)]

#[cfg(test)]
extern crate std;

pub mod lookup;
pub mod options;
pub mod prebuilt;
pub mod proc;
pub mod signal;
pub mod status;
pub mod stop;
pub mod text;

pub use options::{Error, Fault, Options, Parsed, Request, parse};

/// The text that every program in [`prebuilt`] contains, followed by its version. It identifies a
/// reaper in a layer.
pub const MARKER_PREFIX: &str = "reapify-reaper version=";
