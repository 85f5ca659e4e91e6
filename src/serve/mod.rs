//! The network side of a long-running mirror: webhooks, metrics and health checks.
//!
//! ```text
//! registry ──POST /events/NAME──▶ listener ──▶ secret ──▶ events ──▶ intake ──▶ queue ──▶ workers
//! Prometheus, Kubernetes ──GET──▶ listener ──▶ metrics, health
//! ```
//!
//! The listener uses plain HTTP; an ingress in front of it terminates TLS.

pub mod events;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
pub mod intake;
pub mod listener;

pub mod metrics;
pub mod queue;
mod routing;
pub mod secret;
mod server;

pub use events::{Event, Kind, Push};
pub use intake::{Intake, Route, Wanted};

pub use listener::{Limits, Receiver, Service, serve};
pub use metrics::Metrics;
pub use queue::{Pushed, Queue, Work};
pub use secret::Proof;
pub use server::{Current, Server};
