//! The mirror: thousands of images, unattended, for the price of a HEAD.
//!
//! `config` is the file as it stands, `rules` the pure decisions about names and times, [`Rule`] an entry ready to be run.
//! `listing` finds the images of an entry, `image` does one of them through the engine, and [`Pass`] all of them.

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
pub use run::{Effort, Outcomes, Part, Rechecked, Shared, Sinks};
