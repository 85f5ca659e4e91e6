//! The JSON answers of an engine.

use crate::error::{Error, Result};
use crate::image::Digest;
use crate::unseen::is_unseen;
use serde::Deserialize;

/// The maximum length of a message in the answer to a load.
const MAX_LINE: usize = 1 << 20;
/// The number of characters of an engine's message to show.
const SHOWN: usize = 1000;

/// An image in the engine's store, as `GET /images/NAME/json` describes it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Image {
    /// The ID. Engines that store manifests use the digest of the image's manifest or index; others use the
    /// digest of its config.
    #[serde(rename = "Id")]
    pub id: Digest,
    /// The size in bytes that the engine reports.
    #[serde(default, rename = "Size")]
    size: i64,
    #[serde(default, rename = "RepoTags")]
    names: Option<Vec<String>>,
}

impl Image {
    /// Returns the name of the image whose last part is `short`.
    pub fn named(&self, short: &str) -> Option<String> {
        let ending = format!("/{short}");
        self.names.iter().flatten().find(|name| name.ends_with(&ending)).map(|name| printable(name))
    }

    /// Returns the maximum size in bytes of the saved image.
    ///
    /// The engine counts the content of files. A tar needs up to 2 KiB more per file, however small, and an
    /// engine that stores manifests may add the layers as they were pulled.
    pub fn most_saved(&self) -> u64 {
        const FILES: u64 = 4 << 30;
        u64::try_from(self.size).unwrap_or(0).saturating_mul(2).saturating_add(FILES)
    }
}

/// An error of an engine. Docker sets `message`, and both engines may set the others.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Message {
    message: Option<String>,
    error: Option<String>,
    #[serde(rename = "errorDetail")]
    detail: Option<Detail>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Detail {
    message: Option<String>,
}

impl Message {
    fn text(self) -> Option<String> {
        let detail = self.detail.and_then(|detail| detail.message);
        let text = detail.or(self.error).or(self.message).filter(|text| !text.trim().is_empty())?;
        Some(printable(&text))
    }
}

/// Returns the message in the body of an error; `None` if the body is not an engine's.
pub fn message(body: &[u8]) -> Option<String> {
    serde_json::from_slice::<Message>(body).ok()?.text()
}

/// Returns one line that is safe for a terminal.
fn printable(text: &str) -> String {
    let is_shown = |c: char| if is_unseen(c) { ' ' } else { c };
    let shown: String = text.trim().chars().map(is_shown).take(SHOWN).collect();
    if text.trim().chars().nth(SHOWN).is_some() { format!("{shown}…") } else { shown }
}

/// The answer to a load: a stream of JSON messages. An error is one of them, in an answer with status 200.
#[derive(Default)]
pub struct LoadAnswer {
    line: Vec<u8>,
}

impl LoadAnswer {
    /// Reads the next piece.
    ///
    /// # Errors
    ///
    /// Returns the engine's error, or an error if the answer is not an engine's.
    pub fn push(&mut self, piece: &[u8]) -> Result<()> {
        for line in piece.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(line);
            if self.line.len() > MAX_LINE {
                return Err(Error::network("the engine's answer has a message of more than 1 MiB"));
            }
            if line.ends_with(b"\n") {
                self.end()?;
            }
        }
        Ok(())
    }

    /// Reads the last message, which may have no line end.
    ///
    /// # Errors
    ///
    /// Fails in the same cases as [`push`](Self::push).
    pub fn end(&mut self) -> Result<()> {
        let line = std::mem::take(&mut self.line);
        for message in serde_json::Deserializer::from_slice(&line).into_iter::<Message>() {
            let message = message.map_err(|_| {
                let text = printable(&String::from_utf8_lossy(&line[..line.len().min(SHOWN)]));
                Error::network(format!("the engine's answer is not JSON: {text:?}"))
            })?;
            let failure = Message { message: None, ..message }.text();
            if let Some(text) = failure {
                return Err(Error::network(text));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(pieces: &[&str]) -> Result<()> {
        let mut answer = LoadAnswer::default();
        pieces.iter().try_for_each(|piece| answer.push(piece.as_bytes()))?;
        answer.end()
    }

    #[test]
    fn reads_the_progress_of_a_load() {
        load(&[]).unwrap();
        load(&["{\"stream\":\"Loaded image: a\"}"]).unwrap();
        load(&[
            "{\"status\":\"Loading layer\",\"progressDetail\":{\"current\":1},\"id\":\"x\"}\r\n{\"stre",
            "am\":\"Loaded\"}\r\n",
        ])
        .unwrap();
    }

    #[test]
    fn finds_errors_in_every_position() {
        let error = r#"{"errorDetail":{"message":"no space\u001b\u202e[31m left"},"error":"no space"}"#;
        let (one, two) = error.split_at(20);
        let progress = "{\"status\":\"Loading layer\"}\n";
        for pieces in [
            &[error][..],
            &[one, two],
            &[progress, one, two, "\n"],
            &[progress, error, "\n", progress],
            &[&format!("{}{error}", progress.trim_end())],
        ] {
            assert_eq!(load(pieces).unwrap_err().to_string(), "no space  [31m left", "{pieces:?}");
        }
        assert_eq!(load(&[r#"{"error":"plain"}"#]).unwrap_err().to_string(), "plain");
    }

    #[test]
    fn garbage_is_an_error_and_takes_no_memory() {
        for text in ["<html>", "{\"stream\":", "nonsense\n{}", "[]x"] {
            let error = load(&[text]).unwrap_err().to_string();
            assert!(error.starts_with("the engine's answer is not JSON"), "{error}");
        }
        let mut answer = LoadAnswer::default();
        let piece = vec![b'x'; MAX_LINE / 4];
        let failed = (0..8).find_map(|_| answer.push(&piece).err()).unwrap();
        assert!(failed.to_string().contains("more than 1 MiB"));
        assert!(answer.line.len() < 2 * MAX_LINE);
    }

    #[test]
    fn messages_of_docker_and_podman_are_read() {
        assert_eq!(message(br#"{"message":"No such image: x"}"#).unwrap(), "No such image: x");
        assert_eq!(message(br#"{"cause":"c","message":"m","response":404}"#).unwrap(), "m");
        for body in [&b"404 page not found"[..], b"", b"{}", b"[]", br#"{"message":" "}"#] {
            assert_eq!(message(body), None);
        }
        let long = format!(r#"{{"message":"{}"}}"#, "x".repeat(5000));
        assert!(message(long.as_bytes()).unwrap().ends_with("x…"));
    }

    #[test]
    fn the_limit_depends_on_the_reported_size() {
        let image = |text: &str| serde_json::from_str::<Image>(text).unwrap();
        let id = Digest::sha256("");
        let most = |size: &str| image(&format!(r#"{{"Id":"{id}"{size}}}"#)).most_saved();
        assert_eq!(most(""), 4 << 30);
        assert_eq!(most(r#","Size":-1"#), 4 << 30);
        assert_eq!(most(r#","Size":100"#), (4 << 30) + 200);
        assert_eq!(most(r#","Size":9223372036854775807"#), u64::MAX);
    }
}
