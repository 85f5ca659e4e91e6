//! The programs that are added: those built into the tool, those given with `--reaper`, and the ELF reader.

pub mod elf;
mod select;

pub use select::{Reaper, Reapers};
