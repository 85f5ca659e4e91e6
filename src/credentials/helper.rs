//! Credential helpers: run `docker-credential-NAME get` with the server's name on standard input, and read JSON from
//! its standard output.
//!
//! Whatever its exit code, a helper's standard output may contain a secret. It is never quoted.

use super::identity::Credentials;
use crate::error::{Error, Remedy, Result};
use crate::unseen::is_unseen;
use serde_json::{Map, Value};
use std::convert::Infallible;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

/// The time limit for a helper. One that uses a keychain may wait for a person.
const TIMEOUT: Duration = Duration::from_secs(60);
/// The maximum size of an answer, which usually has a few hundred bytes.
const MAX_ANSWER: usize = 64 << 10;
/// The number of bytes of standard error that are kept.
const MAX_STDERR: usize = 4 << 10;
/// How long standard error is read after the helper has exited: a process that it started may keep it open.
const LINGER: Duration = Duration::from_millis(100);
/// The length from which a word that a message shares with the answer may be part of a secret.
const MIN_SHARED: usize = 4;

/// Returns the name of a helper's program.
pub fn program(name: &str) -> String {
    format!("docker-credential-{name}")
}

/// Runs a helper. Returns [`Credentials::Anonymous`] if it has no credentials for the server.
pub async fn get(name: &str, server: &str) -> Result<Credentials> {
    if name.is_empty() || name.contains('/') {
        return Err(Error::other(format!("invalid credential helper name {name:?}")));
    }
    ask(&program(name), server).await
}

async fn ask(program: &str, server: &str) -> Result<Credentials> {
    let failed = |why: String| {
        Error::denied(format!("the credential helper {program} failed for {server}: {why}"))
            .hint(Remedy::CheckCredentialHelper)
    };
    let output = match tokio::time::timeout(TIMEOUT, run(program, server)).await {
        Err(_) => return Err(failed(format!("no answer within {} s", TIMEOUT.as_secs()))),
        Ok(Err(error)) => return Err(failed(error.to_string())),
        Ok(Ok(output)) => output,
    };
    if output.status.success() {
        return credentials(&output.answer).ok_or_else(|| failed("its answer is malformed".into()));
    }
    if String::from_utf8_lossy(&output.answer).contains("credentials not found") {
        return Ok(Credentials::Anonymous);
    }
    Err(failed(match output.quotable() {
        Some(line) => format!("{}: {line}", output.status),
        None => output.status.to_string(),
    }))
}

/// Parses an answer; absent and empty members are equivalent.
fn credentials(answer: &[u8]) -> Option<Credentials> {
    let answer = serde_json::from_slice::<Option<Map<String, Value>>>(answer).ok()?.unwrap_or_default();
    let text = |name: &str| match answer.get(name) {
        None | Some(Value::Null) => Some(""),
        Some(value) => value.as_str(),
    };
    Some(match (text("Username")?, text("Secret")?) {
        ("<token>", "") => Credentials::Anonymous,
        ("<token>", token) => Credentials::Identity(token.into()),
        (user, password) => Credentials::basic(user, password),
    })
}

/// The output of a helper.
struct Output {
    status: ExitStatus,
    /// Standard output.
    answer: Vec<u8>,
    /// The beginning of standard error.
    stderr: Vec<u8>,
}

impl Output {
    /// Returns the first line of standard error, unless it shares a word with the answer or contains JSON.
    fn quotable(&self) -> Option<String> {
        let stderr = String::from_utf8_lossy(&self.stderr);
        let answer = String::from_utf8_lossy(&self.answer);
        let line = stderr.lines().map(str::trim).find(|line| !line.is_empty())?;
        let shares = |text: &str, other: &str| {
            let mut words = text.split(|c: char| c.is_whitespace() || "\"'{}[](),:;=".contains(c));
            words.any(|word| word.len() >= MIN_SHARED && other.contains(word))
        };
        let mut values = Vec::new();
        if let Ok(answer) = serde_json::from_slice(&self.answer) {
            strings(&answer, &mut values);
        }
        let is_secret = line.contains(['{', '}'])
            || shares(line, &answer)
            || shares(&answer, line)
            || values
                .iter()
                .any(|value| line.contains(value.as_str()) || shares(value, line) || shares(line, value));
        (!is_secret).then(|| line.chars().map(|c| if is_unseen(c) { ' ' } else { c }).take(200).collect())
    }
}

/// Collects all non-empty strings in a document.
fn strings(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) if !text.is_empty() => found.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| strings(item, found)),
        Value::Object(members) => members.values().for_each(|member| strings(member, found)),
        _ => {}
    }
}

/// Runs a helper, without a shell. The helper is killed when this future is dropped.
async fn run(program: &str, server: &str) -> std::io::Result<Output> {
    let mut child = Command::new(program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let (input, output, errors) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (mut answer, mut stderr) = (Vec::new(), Vec::new());
    let mut errors = errors.ok_or_else(|| std::io::Error::other("no standard error"))?;
    let answering = async {
        if let Some(mut input) = input {
            // A helper need not read its input.
            let _ = input.write_all(server.as_bytes()).await;
        }
        if let Some(mut output) = output {
            keep(&mut output, &mut answer, MAX_ANSWER).await?;
        }
        child.wait().await
    };
    let listening = async {
        let _ = keep(&mut errors, &mut stderr, MAX_STDERR).await;
        std::future::pending::<Infallible>().await
    };
    let status = tokio::select! {
        status = answering => status?,
        never = listening => match never {},
    };
    let _ = tokio::time::timeout(LINGER, keep(&mut errors, &mut stderr, MAX_STDERR)).await;
    Ok(Output { status, answer, stderr })
}

/// Reads to the end but keeps only the first bytes, so that the writer never blocks.
async fn keep(from: &mut (impl AsyncRead + Unpin), kept: &mut Vec<u8>, limit: usize) -> std::io::Result<()> {
    let mut piece = [0; 4096];
    loop {
        match from.read(&mut piece).await? {
            0 => return Ok(()),
            n => kept.extend_from_slice(&piece[..n.min(limit - kept.len())]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[tokio::test(start_paused = true)]
    async fn times_out_if_a_helper_hangs() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("docker-credential-slow");
        std::fs::write(&path, "#!/bin/sh\nexec sleep 1000\n").unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        let error = ask(&path.display().to_string(), "example.com").await.unwrap_err();
        assert!(error.to_string().ends_with("no answer within 60 s"), "{error}");
    }

    #[test]
    fn parses_answers_and_treats_empty_ones_as_anonymous() {
        let read = |text: &str| credentials(text.as_bytes());
        assert_eq!(read(r#"{"Username":"u","Secret":"s"}"#), Some(Credentials::basic("u", "s")));
        assert_eq!(read(r#"{"Username":"<token>","Secret":"s"}"#), Some(Credentials::Identity("s".into())));
        for text in [
            r#"{"ServerURL":"","Username":"","Secret":""}"#,
            r#"{"Username":null,"Secret":null}"#,
            r#"{"Username":"<token>","Secret":""}"#,
            "{}",
            "null",
        ] {
            assert_eq!(read(text), Some(Credentials::Anonymous), "{text}");
        }
        for text in ["", "s", r#"["u","s"]"#, r#"{"Username":1}"#, r#"{"Secret":["s"]}"#] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn quotes_standard_error_only_if_it_shares_nothing_with_the_answer() {
        let json = r#"{"Username":"ann","Secret":"s3cr\u0065t with-words\nand lines"}"#;
        for (answer, stderr, quoted) in [
            ("", "\n  the keychain\tis locked\nmore\n", Some("the keychain is locked")),
            (json, "the keychain is locked", Some("the keychain is locked")),
            ("", "", None),
            (json, "cannot use s3cret here", None),
            (json, "for ann: no", None),
            (json, "got 'with-words'", None),
            (json, "token with-wor", None),
            ("", r#"+ echo {"Secret":"s3cret"}"#, None),
            ("s3cret", "is it s3cret?", None),
            (r#"{"Username":"ann","Secret":"s3cret"#, "password=s3cret", None),
        ] {
            let output =
                Output { status: ExitStatus::default(), answer: answer.into(), stderr: stderr.into() };
            assert_eq!(output.quotable().as_deref(), quoted, "{answer} {stderr}");
        }
    }
}
