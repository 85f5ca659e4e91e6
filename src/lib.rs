//! reapify retrofits container images with a static reaper as PID 1.
//!
//! # The library
//!
//! Four functions correspond to the commands of the same names: [`wrap()`], [`unwrap()`], [`inspect()`] and [`verify()`].
//! Their types are [`Wrap`] and [`Policy`], the options; [`Report`](engine::report::Report), the outcome; [`Location`], the
//! name of an image; and [`Error`] with its [`Kind`].
//!
//! ```no_run
//! # async fn example() -> reapify::error::Result<()> {
//! let report = reapify::wrap("registry.example/app:1", "registry.example/app:1-reaped", Default::default()).await?;
//! println!("{}: {}", report.action, report.digest);
//! # Ok(())
//! # }
//! ```
//!
//! Everything else is public only for the program, its tests and its tools, and may change in any release.
//!
//! # The modules
//!
//! ```text
//! source ──manifest, config──▶ rewrite (pure: bytes in, bytes out) ──▶ copy engine ──▶ destination
//!              ▲                                                          │
//!              └────────────── blobs, only those the destination lacks ◀──┘
//! ```
//!
//! - [`image`]: the parts of an image: names, digests, manifests, and the JSON editor that splices bytes
//! - [`rewrite`]: wraps and unwraps images, without I/O and independent of transports
//! - [`reapers`]: the reapers for all platforms
//! - [`transport`]: the traits `Source` and `Sink`, layouts and archives
//! - [`registry`] and [`credentials`]: the registry transport
//! - [`daemon`]: the transport for images in the store of a Docker engine
//! - [`read`]: reads manifests and configs, each once, within limits
//! - [`layers`]: a merged view of an image's layers, from the top down
//! - [`engine`]: runs a job from end to end, and copies each blob at most once
//! - [`inspect`](mod@inspect): finds out how an image starts, which program becomes PID 1, and what that means
//! - [`pod`]: finds, judges and edits the containers of Kubernetes documents
//! - [`mirror`]: mirrors many images, as a configuration describes
//! - [`serve`]: the long-running mirror, with schedules, webhooks and metrics
//! - [`verify`](mod@verify): verifies a wrapped image against its record
//! - [`places`]: opens sources and destinations by their locations
//! - [`cli`]: the command line, the only module that prints or maps errors to exit codes
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod api;
pub mod cli;

pub mod credentials;
pub mod daemon;
pub mod engine;
pub mod error;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod image;
pub mod inspect;
pub mod layers;
pub mod mirror;
mod note;
pub mod places;
mod plural;
pub mod pod;
pub mod read;
pub mod reapers;
pub mod registry;
mod remedy;
pub mod rewrite;
pub mod serve;
pub mod stats;
mod temporary;
pub mod transport;
mod unseen;
pub mod verify;

pub use api::{inspect, unwrap, verify, wrap};
pub use engine::Wrap;
pub use error::{Error, Kind};
pub use image::Location;
pub use rewrite::Policy;
