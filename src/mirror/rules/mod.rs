//! Pure decisions of a mirror: which tags and repositories to take, which are newest, when to run, and in
//! which shard.

pub mod cron;
pub mod digest_tags;
pub mod go_class;
pub mod go_escape;
pub mod go_regex;
pub mod newest;
pub mod pattern;
pub mod range;
pub mod schedule;
pub mod select;
pub mod semver;
pub mod shard;
pub mod suffix;
