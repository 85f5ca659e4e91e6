//! The decisions of the init that reapify adds to images.
//!
//! Everything here is pure: bytes and numbers in, values out. The freestanding program in
//! `src/bin/reaper` does what these modules decide, and the tool links them to check a command line
//! before it bakes it into an image.
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

#[cfg(test)]
extern crate std;

pub mod lookup;
pub mod options;
pub mod proc;
pub mod signal;
pub mod status;
pub mod stop;
pub mod text;

pub use options::{Error, Fault, Options, Parsed, Request, parse};

/// What every reaper's marker begins with: how a reaper is recognised in a layer's bytes.
pub const MARKER_PREFIX: &str = "reapify-reaper version=";
