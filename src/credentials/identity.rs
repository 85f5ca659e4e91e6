//! Credentials that are presented to a registry.

use std::fmt;

/// Credentials that are presented to a registry.
#[derive(Clone, PartialEq, Eq, Default)]
pub enum Credentials {
    /// No credentials.
    #[default]
    Anonymous,
    /// A user name with a password or access token.
    Basic {
        /// The user name.
        user: String,
        /// The password.
        password: String,
    },
    /// An identity token, to be exchanged for access tokens.
    Identity(String),
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Credentials::Anonymous => "anonymous",
            Credentials::Basic { .. } => "basic (hidden)",
            Credentials::Identity(_) => "identity (hidden)",
        })
    }
}

impl Credentials {
    /// Creates credentials from a user name and a password; [`Credentials::Anonymous`] if both are empty.
    pub fn basic(user: impl Into<String>, password: impl Into<String>) -> Self {
        let (user, password) = (user.into(), password.into());
        if user.is_empty() && password.is_empty() {
            return Credentials::Anonymous;
        }
        Credentials::Basic { user, password }
    }

    /// Parses `USER[:PASSWORD]`.
    pub fn from_user_password(text: &str) -> Self {
        let (user, password) = text.split_once(':').unwrap_or((text, ""));
        Credentials::basic(user, password)
    }
}
