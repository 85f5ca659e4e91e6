//! The bytes of a blob, in pieces.

use crate::error::Result;
use bytes::Bytes;
use futures_util::stream::BoxStream;

/// The bytes of a blob, in pieces.
pub type BlobStream = BoxStream<'static, Result<Bytes>>;
