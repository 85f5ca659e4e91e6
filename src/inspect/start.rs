//! The start of a container, as defined by an image's config or a Kubernetes container.

/// The parts of a config that determine what becomes PID 1.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Start {
    /// `Entrypoint`
    pub entrypoint: Vec<String>,
    /// `Cmd`
    pub cmd: Vec<String>,
    /// `Env`, as `NAME=value`.
    pub env: Vec<String>,
    /// `WorkingDir`
    pub working_dir: Option<String>,
    /// `User`
    pub user: Option<String>,
    /// `StopSignal`
    pub stop_signal: Option<String>,
    /// The architecture, by Go's name.
    pub architecture: Option<String>,
}

impl Start {
    /// Returns Entrypoint and Cmd together; an Entrypoint of one empty word counts as none.
    pub fn command(&self) -> Vec<String> {
        let is_empty = matches!(self.entrypoint.as_slice(), [word] if word.is_empty());
        let entrypoint = if is_empty { &[] } else { self.entrypoint.as_slice() };
        entrypoint.iter().chain(&self.cmd).cloned().collect()
    }
}

/// The user as which a process runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum User {
    /// root.
    Root,
    /// A user by number.
    Number(String),
    /// A user by name.
    Named(String),
    /// Unknown.
    Unknown,
}

impl User {
    /// Parses the user in a config or a wrapper's argument: `user[:group]`.
    pub fn parse(text: &str) -> Self {
        let name = text.split([':', '.']).next().unwrap_or_default();
        match name {
            "" | "root" | "0" => User::Root,
            "?" => User::Unknown,
            name if name.bytes().all(|byte| byte.is_ascii_digit()) => User::Number(name.into()),
            name => User::Named(name.into()),
        }
    }

    /// Returns whether the user is root, if that is known.
    pub fn is_root(&self) -> Option<bool> {
        match self {
            User::Root => Some(true),
            User::Number(_) | User::Named(_) => Some(false),
            User::Unknown => None,
        }
    }

    /// Returns the user's number, if it is known.
    pub fn number(&self) -> Option<String> {
        match self {
            User::Root => Some("0".into()),
            User::Number(number) => Some(number.clone()),
            User::Named(_) | User::Unknown => None,
        }
    }
}
