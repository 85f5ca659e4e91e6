//! The init that reapify adds to images: static programs for several platforms, and their decisions as a library.
//!
//! [`prebuilt`] holds the programs. Everything else is pure: bytes and numbers in, values out. The programs do what
//! these modules decide, and reapify uses them to check a command line before it bakes it into an image.
//!
//! - [`options`]: the command line and the environment
//! - [`signal`]: signal names and numbers, and what a signal is rewritten to
//! - [`status`]: what a wait status means, and the exit code it becomes
//! - [`stop`]: what to do after the main process has exited
//! - [`lookup`]: where a program is looked for, and what a failed `execve` means
//! - [`proc`]: what `/proc` says about a process
//! - [`text`]: what they share to read bytes
#![no_std]
#![forbid(unsafe_code)]
// The modules cannot be edited without making other programs: see CONTRIBUTING.md.
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

/// The text that every program in [`prebuilt`] contains, followed by its version: it identifies a reaper in a layer.
pub const MARKER_PREFIX: &str = "reapify-reaper version=";
