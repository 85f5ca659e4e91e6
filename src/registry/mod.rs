//! The registry transport: a thin client of the OCI distribution specification, built on reqwest.
//!
//! `http` sends requests and knows no credentials; `token` exchanges credentials for tokens; `client` combines both
//! and retries failures. `download`, `session`, `upload` and `referrers` are built on `client`, and [`Repository`] on
//! them.

mod answer;
pub mod auth;
mod body;
mod client;
mod download;
mod error;
mod governor;
mod http;
mod list;
mod pages;
mod quirks;
mod referrers;
mod repository;
mod retry;
mod session;
mod tls;
mod token;
mod trust;
mod upload;

pub use body::Progress;
pub use client::{Client, Options};
pub use governor::{Governors, Rate};
pub use http::Timeouts;
pub use quirks::Upload;
pub use repository::Repository;
pub use retry::Policy;
pub use tls::{Authority, HostOptions, Identity, Pem, is_loopback, plain_client, speaks_plain_http};
pub use trust::{Trust, config as tls_config};
