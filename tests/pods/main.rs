//! Kubernetes documents: what is found in them, and how they are patched.

mod documents;
mod patch;
mod properties;
mod report;
