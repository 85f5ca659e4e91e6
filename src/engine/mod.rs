//! The engine: runs a task from a source to a destination, and copies each blob at most once.

mod attestations;
mod carry_over;
mod changes;
mod comparison;
pub mod copy;
mod destination;
mod docker_list;
mod existing;
mod images;
mod overlay;
mod plan;
mod provenance;
mod push;
mod referrers;
mod relation;
pub mod report;
mod run;
mod shared_state;
mod sinks;
mod task;
mod transfers;
mod tree;

pub use changes::{Change, Changes, WouldWrite};
pub use docker_list::recorded_list;
pub use existing::{Backup, BackupTag, Existing};
pub use overlay::Overlay;
pub use run::{Job, Known, Pending, Permit};
pub use shared_state::SharedState;
pub use sinks::Sinks;
pub use task::{Attestations, Copy, Task, Unsupported, Wrap};
pub use transfers::{Active, Snapshot, Total, Transfers};
