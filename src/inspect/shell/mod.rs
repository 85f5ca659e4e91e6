//! The judge of shell scripts.
//!
//! A script is interpreted abstractly: positional parameters, variables from the image's Env and assignments are known,
//! anything else is not. Conditions are evaluated where they can be, and both branches are followed where they cannot.

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
