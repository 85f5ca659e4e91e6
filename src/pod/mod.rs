//! Kubernetes documents: finds the containers in them, judges how each one starts and stops, and edits the documents
//! in place. A pure function from bytes to findings and bytes.
//!
//! ```text
//! bytes ──parse──▶ documents ──find──▶ pods ──judge──▶ report (text, JSON, SARIF)
//!                                        └────patch──▶ bytes, by splices, and proven
//! ```

mod check_namespace;
mod check_start;
mod check_stop;
mod command;
mod config_map;
mod deep;
mod edit;
mod examine;
mod find;
mod finding;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod judge;
mod mapping;
mod needed;
mod parse;
mod patch;
mod programs;
mod prove;
mod report;
mod rule;
mod sarif;
mod shell;
mod spec;
mod tree;
mod words;

pub use command::{
    Answer, CommandJudgement, Commands, ImageFacts, Images, InitUse, NoImages, Question, Start,
};
pub use config_map::ScriptFile;
pub use deep::{Deep, Opened, both};
pub use examine::{Knowledge, Use, examine, images, uses};
pub use finding::{ContainerReport, Finding, Report};
pub use judge::Way;
pub use mapping::{ImageName, Mapping, Replaced};
pub use parse::{MAX_BYTES, Problem, Source};
pub use patch::{Change, NoReapers, Patch, Patched, Reapers, unified_diff};
pub use rule::{Ignore, Rule, Severity};
pub use spec::{ContainerKind, Variable};
pub use tree::{Document, Place};
pub use words::WordsOnly;
