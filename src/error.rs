//! The error type of this crate: what failed, what to do about it, and the exit code of the program.

pub use crate::note::Note;
pub use crate::remedy::{HostRemedy, Remedy};
use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

/// The class of an error, which determines the exit code of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Any error not listed below.
    Other,
    /// The command line is invalid, or requests something impossible.
    Usage,
    /// The image, or a part of it, does not exist.
    NotFound,
    /// The registry refused the credentials, or requires some.
    Denied,
    /// The image is malformed, ambiguous, or of an unsupported kind.
    Unsupported,
    /// Content does not match its digest or size.
    Verification,
    /// The registry, the engine or the network failed, after retries.
    Network,
    /// `--check` found a problem.
    Check,
    /// Some images of a mirror failed.
    Partial,
    /// Ctrl-C ended the run.
    Interrupted,
    /// SIGTERM ended the run.
    Terminated,
    /// SIGHUP ended the run: its terminal was closed.
    HungUp,
}

impl Kind {
    /// Returns the exit code of the process, as `reapify help exit-codes` lists it.
    pub fn exit_code(self) -> u8 {
        match self {
            Kind::Other => 1,
            Kind::Usage => 2,
            Kind::NotFound => 3,
            Kind::Denied => 4,
            Kind::Unsupported => 5,
            Kind::Verification => 6,
            Kind::Network => 7,
            Kind::Check => 8,
            Kind::Partial => 9,
            Kind::HungUp => 129,
            Kind::Interrupted => 130,
            Kind::Terminated => 143,
        }
    }
}

/// The way in which a failed operation may be retried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// Once, after a short pause: a refused connection or an unknown host name rarely recovers.
    Once,
    /// Several times, with growing pauses.
    Later {
        /// The pause that the server requested.
        after: Option<Duration>,
    },
}

impl Kind {
    /// Returns the name of the class in JSON. The names are stable.
    pub fn code(self) -> &'static str {
        match self {
            Kind::Other => "other",
            Kind::Usage => "usage",
            Kind::NotFound => "not-found",
            Kind::Denied => "denied",
            Kind::Unsupported => "unsupported",
            Kind::Verification => "verification",
            Kind::Network => "network",
            Kind::Check => "check",
            Kind::Partial => "partial",
            Kind::Interrupted => "interrupted",
            Kind::Terminated => "terminated",
            Kind::HungUp => "hung-up",
        }
    }
}

/// An error with its context, displayed from the outermost operation to the cause: `operation: cause`.
#[derive(Debug, Clone)]
pub struct Error(Box<Inner>);

#[derive(Debug, Clone)]
struct Inner {
    kind: Kind,
    message: String,
    /// The length of the message without any context.
    root: usize,
    remedy: Option<Remedy>,
    retry: Option<Retry>,
    missing_part: bool,
}

/// The result of any fallible operation in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// Creates an error of the given class.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        let message = message.into();
        let root = message.len();
        Error(Box::new(Inner { kind, message, root, remedy: None, retry: None, missing_part: false }))
    }

    /// Creates an error of class [`Kind::Other`].
    pub fn other(message: impl Into<String>) -> Self {
        Self::new(Kind::Other, message)
    }

    /// Creates an error of class [`Kind::Usage`].
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Kind::Usage, message)
    }

    /// Creates an error of class [`Kind::NotFound`].
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(Kind::NotFound, message)
    }

    /// Creates an error of class [`Kind::Denied`].
    pub fn denied(message: impl Into<String>) -> Self {
        Self::new(Kind::Denied, message)
    }

    /// Creates an error of class [`Kind::Unsupported`].
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(Kind::Unsupported, message)
    }

    /// Creates an error of class [`Kind::Verification`].
    pub fn verification(message: impl Into<String>) -> Self {
        Self::new(Kind::Verification, message)
    }

    /// Creates an error of class [`Kind::Network`].
    pub fn network(message: impl Into<String>) -> Self {
        Self::new(Kind::Network, message)
    }

    /// Adds what the user can do about the error.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<Remedy>) -> Self {
        self.0.remedy = Some(hint.into());
        self
    }

    /// Marks the error as transient: the operation may succeed if it is retried.
    #[must_use]
    pub fn retryable(mut self, retry: Retry) -> Self {
        self.0.retry = Some(retry);
        self
    }

    /// Marks the error as permanent: retrying is pointless.
    #[must_use]
    pub fn lasting(mut self) -> Self {
        self.0.retry = None;
        self
    }

    /// Marks the refusal of a manifest whose blobs or children the destination lacks (`MANIFEST_BLOB_UNKNOWN`).
    #[must_use]
    pub fn missing_part(mut self) -> Self {
        self.0.missing_part = true;
        self
    }

    /// Prepends the operation that failed: `operation: message`.
    #[must_use]
    pub fn context(mut self, what: impl fmt::Display) -> Self {
        self.0.message = format!("{what}: {}", self.0.message);
        self
    }

    /// Changes the class.
    #[must_use]
    pub fn of_kind(mut self, kind: Kind) -> Self {
        self.0.kind = kind;
        self
    }

    /// Returns the message without its context.
    pub fn root(&self) -> &str {
        &self.0.message[self.0.message.len() - self.0.root..]
    }

    /// Appends a reason to the message: `message: reason`.
    #[must_use]
    pub fn because(mut self, reason: impl fmt::Display) -> Self {
        let before = self.0.message.len();
        self.0.message.push_str(&format!(": {reason}"));
        self.0.root += self.0.message.len() - before;
        self
    }

    /// Returns the class of the error.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// Returns what the user can do about the error, if anything.
    pub fn remedy(&self) -> Option<&Remedy> {
        self.0.remedy.as_ref()
    }

    /// Returns the [remedy](Self::remedy) as a sentence without options of the command line.
    pub fn hint_text(&self) -> Option<Cow<'_, str>> {
        self.0.remedy.as_ref().map(|remedy| match remedy {
            Remedy::Text(text) => Cow::Borrowed(&**text),
            remedy => Cow::Owned(remedy.to_string()),
        })
    }

    /// Returns how the operation may be retried; `None` if that is pointless.
    pub fn retry(&self) -> Option<Retry> {
        self.0.retry
    }

    /// Returns whether the destination refused a manifest because it lacks one of its blobs or children.
    pub fn is_missing_part(&self) -> bool {
        self.0.missing_part
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for Error {}

/// Adds the failed operation to an error.
pub trait Context<T> {
    /// Prepends `what` to the message.
    fn context<D: fmt::Display>(self, what: impl FnOnce() -> D) -> Result<T>;
}

impl<T, E: Into<Error>> Context<T> for std::result::Result<T, E> {
    fn context<D: fmt::Display>(self, what: impl FnOnce() -> D) -> Result<T> {
        self.map_err(|error| error.into().context(what()))
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        let kind = match error.kind() {
            std::io::ErrorKind::NotFound => Kind::NotFound,
            std::io::ErrorKind::PermissionDenied => Kind::Denied,
            _ => Kind::Other,
        };
        // Restore one of our own errors that passed through an `io::Read`.
        match error.downcast::<Error>() {
            Ok(ours) => ours,
            Err(error) => Error::new(kind, error.to_string()),
        }
    }
}
