//! Credential helpers: `docker-credential-NAME get`, the server's name on standard input, JSON back.

use super::Credentials;
use crate::error::{Error, Result};
use serde::Deserialize;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

/// A helper that asks a keychain may wait for a person; one that hangs must not hold up a mirror for ever.
const TIMEOUT: Duration = Duration::from_secs(60);
/// An answer is a few hundred bytes.
const MAX_ANSWER: u64 = 64 << 10;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: String,
}

/// Asks a helper; [`Credentials::Anonymous`] if it knows nothing of the server.
pub async fn get(name: &str, server: &str) -> Result<Credentials> {
    let program = format!("docker-credential-{name}");
    if name.is_empty() || name.contains('/') {
        return Err(Error::other(format!("{program:?} is no name of a credential helper")));
    }
    ask(&program, server).await
}

async fn ask(program: &str, server: &str) -> Result<Credentials> {
    let failed = |why: String| {
        Error::denied(format!("the credential helper {program} failed for {server}: {why}"))
            .hint("run it by hand, or give credentials with --src-creds or --dest-creds")
    };
    match tokio::time::timeout(TIMEOUT, run(program, server)).await {
        Err(_) => Err(failed(format!("no answer within {} s", TIMEOUT.as_secs()))),
        Ok(Err(error)) => Err(failed(error.to_string())),
        Ok(Ok((true, answer))) => {
            // The answer is not quoted: it holds a secret.
            let answer: Answer =
                serde_json::from_slice(&answer).map_err(|_| failed("its answer is malformed".into()))?;
            Ok(match answer.username.as_str() {
                "<token>" => Credentials::Identity(answer.secret),
                _ => Credentials::Basic { user: answer.username, password: answer.secret },
            })
        }
        Ok(Ok((false, answer))) => {
            let said = String::from_utf8_lossy(&answer);
            match said.contains("credentials not found") {
                true => Ok(Credentials::Anonymous),
                false => Err(failed(said.trim().chars().take(200).collect())),
            }
        }
    }
}

/// Never through a shell; ended with us.
async fn run(program: &str, server: &str) -> std::io::Result<(bool, Vec<u8>)> {
    let mut child = Command::new(program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    if let Some(mut input) = child.stdin.take() {
        // A helper that does not read its input is not wrong.
        let _ = input.write_all(server.as_bytes()).await;
    }
    let mut answer = Vec::new();
    if let Some(output) = child.stdout.take() {
        output.take(MAX_ANSWER).read_to_end(&mut answer).await?;
    }
    Ok((child.wait().await?.success(), answer))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[tokio::test(start_paused = true)]
    async fn one_that_hangs_is_given_up() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("docker-credential-slow");
        std::fs::write(&path, "#!/bin/sh\nexec sleep 1000\n").unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        let error = ask(&path.display().to_string(), "example.com").await.unwrap_err();
        assert!(error.to_string().ends_with("no answer within 60 s"), "{error}");
    }
}
