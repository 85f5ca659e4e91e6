//! Hooks: programs and requests that users run before and after an image is written.

use super::config::{Hook, Hooks};
use super::report::Line;
use crate::error::{Error, Result};
use crate::image::json::to_json;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// The time limit of a hook, unless the configuration sets one.
const TIMEOUT: Duration = Duration::from_secs(60);

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
            let output = child.wait_with_output().await?;
            if output.status.success() {
                return Ok(());
            }
            let said = String::from_utf8_lossy(&output.stderr);
            let said = said.lines().next().map(|line| format!(": {line}")).unwrap_or_default();
            Err(Error::other(format!("{program} failed with {}{said}", output.status)))
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
        ("REAPIFY_ACTION", line.action.word().into()),
        ("REAPIFY_REASON", text(&line.reason)),
    ]
}
