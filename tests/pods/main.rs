//! Kubernetes documents: findings and patches.

mod documents;
mod patch;
mod properties;
mod report;
