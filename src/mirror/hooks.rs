//! Hooks: programs and requests that users run before and after an image is written.

use super::config::{Hook, Hooks};
use super::report::Line;
use crate::error::{Error, Result};
use crate::image::json::to_json;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

/// The time limit of a hook, unless the configuration sets one.
const TIMEOUT: Duration = Duration::from_secs(60);
/// The number of bytes of a program's standard error that are kept.
const MAX_STDERR: usize = 4 << 10;

/// When a hook runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Before the image is written.
    Pre,
    /// After the image was written.
    Post,
    /// If there was nothing to do.
    Unchanged,
}

impl When {
    fn hooks(self, hooks: &Hooks) -> &[Hook] {
        match self {
            When::Pre => &hooks.pre,
            When::Post => &hooks.post,
            When::Unchanged => &hooks.unchanged,
        }
    }

    fn word(self) -> &'static str {
        match self {
            When::Pre => "pre",
            When::Post => "post",
            When::Unchanged => "unchanged",
        }
    }
}

/// Runs hooks one after the other, up to the first that fails.
pub async fn run(hooks: &Hooks, when: When, line: &Line) -> Result<()> {
    let limit = hooks.timeout.unwrap_or(TIMEOUT);
    for hook in when.hooks(hooks) {
        let outcome = tokio::time::timeout(limit, run_one(hook, when, line)).await;
        let outcome = outcome.unwrap_or_else(|_| Err(Error::other(format!("timed out after {limit:?}"))));
        outcome.map_err(|e| e.context(format!("the {} hook", when.word())))?;
    }
    Ok(())
}

async fn run_one(hook: &Hook, when: When, line: &Line) -> Result<()> {
    let facts = to_json(line)?;
    match hook {
        Hook::Exec(words) => {
            let Some((program, args)) = words.split_first() else { return Ok(()) };
            let mut command = Command::new(program);
            command.args(args).envs(environment(when, line)).kill_on_drop(true);
            command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
            let mut child =
                command.spawn().map_err(|e| Error::other(format!("cannot run {program}: {e}")))?;
            if let Some(mut input) = child.stdin.take() {
                // A program need not read its standard input.
                let _ = input.write_all(facts.as_bytes()).await;
            }
            let said = match child.stderr.take() {
                Some(errors) => tail(errors, MAX_STDERR).await?,
                None => Vec::new(),
            };
            let status = child.wait().await?;
            if status.success() {
                return Ok(());
            }
            let said = String::from_utf8_lossy(&said);
            let said = said.lines().map(str::trim).rfind(|line| !line.is_empty());
            let said = said.map(|line| format!(": {line}")).unwrap_or_default();
            Err(Error::other(format!("{program} failed with {status}{said}")))
        }
        Hook::Http { url, headers } => {
            // The URL may contain a secret, and so may the client's errors.
            let failed = |e: reqwest::Error| Error::network(e.without_url().to_string());
            let client = crate::registry::plain_client()?;
            let mut request = client.post(url.expose()).header("content-type", "application/json");
            for (name, value) in headers {
                request = request.header(name, value.expose());
            }
            let answer = request.body(facts).send().await.map_err(failed)?;
            match answer.status().is_success() {
                true => Ok(()),
                false => Err(Error::network(format!("the server answered {}", answer.status()))),
            }
        }
    }
}

/// Reads to the end, so that the writer never blocks, but keeps only the last bytes: programs write the reason why they
/// fail at the end.
async fn tail(mut from: impl AsyncRead + Unpin, limit: usize) -> std::io::Result<Vec<u8>> {
    let (mut kept, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        match from.read(&mut piece).await? {
            0 => return Ok(kept),
            n => kept.extend_from_slice(&piece[..n]),
        }
        kept.drain(..kept.len().saturating_sub(limit));
    }
}

/// Returns the environment variables that describe the image.
fn environment(when: When, line: &Line) -> Vec<(&'static str, String)> {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let digest =
        |digest: &Option<crate::image::Digest>| digest.as_ref().map(ToString::to_string).unwrap_or_default();
    vec![
        ("REAPIFY_HOOK", when.word().into()),
        ("REAPIFY_ENTRY", line.entry.to_string()),
        ("REAPIFY_SOURCE", text(&line.source)),
        ("REAPIFY_DESTINATION", text(&line.destination)),
        ("REAPIFY_SOURCE_DIGEST", digest(&line.source_digest)),
        ("REAPIFY_DIGEST", digest(&line.digest)),
        ("REAPIFY_ACTION", line.action.to_string()),
        ("REAPIFY_REASON", text(&line.reason)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn keeps_the_end_of_what_a_program_says() {
        let long = "x".repeat(10_000) + "end";
        assert_eq!(tail(long.as_bytes(), 5).await.unwrap(), b"xxend");
        assert_eq!(tail(&b"end"[..], 5).await.unwrap(), b"end");
    }
}
