//! The one error type: what went wrong, what to do about it, and which exit code it means.

pub use crate::remedy::{HostRemedy, Remedy};
use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

/// The class of an error. Each class is one exit code of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Anything not named below.
    Other,
    /// The command line cannot be understood, or asks for what cannot be.
    Usage,
    /// The image, or something it is made of, is not there.
    NotFound,
    /// The registry refused the credentials, or the lack of them.
    Denied,
    /// The image is malformed, ambiguous, or of a kind that is not handled.
    Unsupported,
    /// A digest or a size does not match what was promised.
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
}

impl Kind {
    /// The exit code of the process; the table stands in `--help` too.
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
            Kind::Interrupted => 130,
            Kind::Terminated => 143,
        }
    }
}

/// How a failed operation may be repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// Once, soon: a refused connection or an unknown host name rarely heals.
    Once,
    /// Several times, with growing pauses.
    Later {
        /// The pause that the other side asked for.
        after: Option<Duration>,
    },
}

impl Kind {
    /// The word for the class in JSON. Stable: programs may rely on it.
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
        }
    }
}

/// An error reads as a chain, outermost first: `what was being done: what went wrong`.
#[derive(Debug, Clone)]
pub struct Error(Box<Inner>);

#[derive(Debug, Clone)]
struct Inner {
    kind: Kind,
    message: String,
    /// Length of the message before any context.
    root: usize,
    remedy: Option<Remedy>,
    retry: Option<Retry>,
    missing_part: bool,
}

/// The result of anything that can fail in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of the given class.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        let message = message.into();
        let root = message.len();
        Error(Box::new(Inner { kind, message, root, remedy: None, retry: None, missing_part: false }))
    }

    /// [`Kind::Other`].
    pub fn other(message: impl Into<String>) -> Self {
        Self::new(Kind::Other, message)
    }

    /// [`Kind::Usage`].
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Kind::Usage, message)
    }

    /// [`Kind::NotFound`].
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(Kind::NotFound, message)
    }

    /// [`Kind::Denied`].
    pub fn denied(message: impl Into<String>) -> Self {
        Self::new(Kind::Denied, message)
    }

    /// [`Kind::Unsupported`].
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(Kind::Unsupported, message)
    }

    /// [`Kind::Verification`].
    pub fn verification(message: impl Into<String>) -> Self {
        Self::new(Kind::Verification, message)
    }

    /// [`Kind::Network`].
    pub fn network(message: impl Into<String>) -> Self {
        Self::new(Kind::Network, message)
    }

    /// Says what the person can do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<Remedy>) -> Self {
        self.0.remedy = Some(hint.into());
        self
    }

    /// Marks a failure that may pass: the operation may succeed when it is repeated.
    #[must_use]
    pub fn retryable(mut self, retry: Retry) -> Self {
        self.0.retry = Some(retry);
        self
    }

    /// Marks a failure that repetition does not heal.
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

    /// Puts what was being done in front: `what: message`.
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

    /// The message without its context.
    pub fn root(&self) -> &str {
        &self.0.message[self.0.message.len() - self.0.root..]
    }

    /// Adds a reason behind the message: `message: reason`.
    #[must_use]
    pub fn because(mut self, reason: impl fmt::Display) -> Self {
        let before = self.0.message.len();
        self.0.message.push_str(&format!(": {reason}"));
        self.0.root += self.0.message.len() - before;
        self
    }

    /// The class of the error.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// What the person can do about it, where there is something.
    pub fn remedy(&self) -> Option<&Remedy> {
        self.0.remedy.as_ref()
    }

    /// The [remedy](Self::remedy) as a sentence that names no option of the command line.
    pub fn hint_text(&self) -> Option<Cow<'_, str>> {
        self.0.remedy.as_ref().map(|remedy| match remedy {
            Remedy::Text(text) => Cow::Borrowed(&**text),
            remedy => Cow::Owned(remedy.to_string()),
        })
    }

    /// How the operation may be repeated; `None` if that is pointless.
    pub fn retry(&self) -> Option<Retry> {
        self.0.retry
    }

    /// Whether the destination refused a manifest because it lacks a blob or a child of it.
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

/// Adds what was being done to a failure.
pub trait Context<T> {
    /// Puts `what` in front of the message.
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
        // An error of ours that travelled through an `io::Read` comes back as it was.
        match error.downcast::<Error>() {
            Ok(ours) => ours,
            Err(error) => Error::new(kind, error.to_string()),
        }
    }
}
