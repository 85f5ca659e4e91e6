//! reapify retrofits container images with a static reaper as PID 1.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod copy;
pub mod credentials;
pub mod error;
pub mod image;
pub mod job;
pub mod reapers;
pub mod registry;
pub mod rewrite;
pub mod transport;
