//! reapify retrofits container images with a static reaper as PID 1.
//!
//! # The library
//!
//! Four functions do what the commands of the same names do: [`wrap()`], [`unwrap()`], [`inspect()`] and [`verify()`]. With
//! them come [`Wrap`] and [`Policy`], the options; [`Report`](engine::report::Report), what happened; [`Location`], the
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
//! Everything else is public for the program, its tests and its tools, and may change in any release.
//!
//! # The modules
//!
//! ```text
//! source ──manifest, config──▶ rewrite (pure: bytes in, bytes out) ──▶ copy engine ──▶ destination
//!              ▲                                                          │
//!              └────────────── blobs, only those the destination lacks ◀──┘
//! ```
//!
//! - [`image`]: what an image is; names, digests, manifests, and the JSON editor that splices bytes
//! - [`rewrite`]: what wrap and unwrap do to it; knows no transport and does no I/O
//! - [`reapers`]: the programs that are added
//! - [`transport`]: layouts and archives, behind the traits `Source` and `Sink`
//! - [`registry`] and [`credentials`]: the registry transport
//! - [`daemon`]: the transport for images in the store of a Docker engine
//! - [`read`]: manifests and configs, each once, within limits
//! - [`layers`]: a merged view of an image's layers, from the top down
//! - [`engine`]: one run from end to end, and the moving of blobs, each once
//! - [`inspect`]: how an image starts, who becomes PID 1, and what that means
//! - [`pod`]: Kubernetes documents: finds containers, judges and edits them
//! - [`mirror`]: many images by a configuration, in one pass
//! - [`serve`]: the mirror that runs for ever: schedules, webhooks, metrics
//! - [`verify`](mod@verify): whether a wrapped image is what its record says
//! - [`places`]: opens the places that locations name
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
pub mod places;
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
pub mod verify;

pub use api::{inspect, unwrap, verify, wrap};
pub use engine::Wrap;
pub use error::{Error, Kind};
pub use image::Location;
pub use rewrite::Policy;
