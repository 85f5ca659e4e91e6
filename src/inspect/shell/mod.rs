//! The judge of shell scripts.
//!
//! A script is interpreted abstractly: positional parameters, variables of the image's Env and assignments are known,
//! everything else is unknown. Conditions are evaluated if possible; otherwise both branches are followed.

pub mod ast;
mod builtins;
mod calls;
mod condition;
mod conditions;
mod expand;
mod jobs;
pub mod kind;
mod loops;
mod names;
pub mod parse;
mod pattern;
mod run;
mod scan;
pub mod start;
pub mod state;
pub mod value;
mod words;
