//! The transport `docker-daemon:`: images in the store of a Docker engine, through its HTTP API. Podman's service
//! speaks the same API.
//!
//! [`Address`] is the address of an engine, [`Engine`] sends requests to it, and [`DaemonSource`] and
//! [`DaemonSink`] are built on these.
//!
//! The API does not give access to single blobs: it saves an image as one tar, and loads one tar. Layers that
//! the engine already has are therefore sent again; it skips them when it loads the image.

mod address;
mod answer;
mod channel;
mod client;
mod contexts;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod sink;
mod source;

pub use address::{Address, Tls};
pub use client::Engine;
pub use contexts::Environment;
pub use sink::DaemonSink;
pub use source::DaemonSource;
