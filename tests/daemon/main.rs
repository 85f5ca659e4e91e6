//! `docker-daemon:` with real engines and with one that misbehaves.

#[path = "../support/mod.rs"]
mod support;

mod faults;
mod real;
