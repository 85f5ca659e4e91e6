//! Mirrors many images unattended. An unchanged image costs a few small requests and no pull.
//!
//! `config` is the file as written, `rules` has pure decisions about names and times, and [`Rule`] is an
//! entry that is ready to run. `listing` finds the images of an entry, `image` mirrors one of them through
//! the engine, and [`Pass`] all of them.

pub mod config;
pub mod duration;
mod fallback;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod hooks;
mod hosts;
mod image;
mod listing;
mod pass;
mod prune;
mod report;
mod results;
mod rule;
pub mod rules;
mod run;

pub use hosts::Hosts;
pub use image::mirror;
pub use listing::{Item, Listed, Place, repositories};
pub use pass::Pass;
pub use report::{Action, Line, Summary};
pub use results::Results;
pub use rule::{ReadReapers, Rule, schedule};
pub use run::{Effort, Outcomes, Part, Rechecked, Shared};
