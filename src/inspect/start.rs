//! How a container starts, as the image's config or a Kubernetes container has it.

/// The parts of a config that decide what PID 1 is.
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
    /// The architecture in Go's words.
    pub architecture: Option<String>,
}

impl Start {
    /// Entrypoint and Cmd together; an Entrypoint of one empty word counts as none.
    pub fn command(&self) -> Vec<String> {
        let is_empty = matches!(self.entrypoint.as_slice(), [word] if word.is_empty());
        let entrypoint = if is_empty { &[] } else { self.entrypoint.as_slice() };
        entrypoint.iter().chain(&self.cmd).cloned().collect()
    }
}

/// The user that a process runs as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum User {
    /// root
    Root,
    /// A user by number.
    Number(String),
    /// A user by name.
    Named(String),
    /// Not known.
    Unknown,
}

impl User {
    /// The user in a config or a wrapper's argument: `user[:group]`.
    pub fn parse(text: &str) -> Self {
        let name = text.split([':', '.']).next().unwrap_or_default();
        match name {
            "" | "root" | "0" => User::Root,
            "?" => User::Unknown,
            name if name.bytes().all(|byte| byte.is_ascii_digit()) => User::Number(name.into()),
            name => User::Named(name.into()),
        }
    }

    /// Whether it is root, if that is known.
    pub fn is_root(&self) -> Option<bool> {
        match self {
            User::Root => Some(true),
            User::Number(_) | User::Named(_) => Some(false),
            User::Unknown => None,
        }
    }

    /// The user's number, if it is known.
    pub fn number(&self) -> Option<String> {
        match self {
            User::Root => Some("0".into()),
            User::Number(number) => Some(number.clone()),
            User::Named(_) | User::Unknown => None,
        }
    }
}
