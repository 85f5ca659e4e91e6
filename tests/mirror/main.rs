//! The mirror: passes, the images that they select, their outputs, and the server.

#[path = "../support/mod.rs"]
mod support;

mod notifications;
mod outputs;
mod pass;
mod selection;
mod server;
mod upstream;
