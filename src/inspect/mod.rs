//! The inspection of images: what becomes PID 1, whether orphans are reaped, and whether the stop signal reaches the
//! service.
//!
//! [`judge`](judge::judge) is pure: it follows Entrypoint and Cmd through files that the caller reads. [`look`] runs
//! it with the layers of an image.

mod conclude;
pub mod files;
mod fuzz;
pub mod judge;
mod layered;
pub mod locate;
mod look;
mod process;
pub mod programs;
pub mod quote;
pub mod report;
mod run;
pub mod shell;
mod start;
mod trail;
mod verdict;
mod walk;
mod wrappers;

pub use files::{FileFacts, Files, Found, Mark, Marks, NoFiles};
pub use fuzz::fuzz_script;
pub use judge::{Step, judge, judge_command};
pub use layered::Layered;
pub use look::{Findings, look, start};
pub use report::Report;
pub use run::image;
pub use start::{Start, User};
pub use verdict::*;
