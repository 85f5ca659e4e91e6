//! The reapers that can be added: built-in ones, those given with `--reaper`, and a reader of ELF headers.

pub mod elf;
mod select;

pub use select::{Reaper, Reapers};
