//! An entry point for fuzzing that takes any bytes as a start script.

use crate::inspect::files::{FileFacts, Files, Found, Marks};
use crate::inspect::start::Start;
use crate::inspect::verdict::Verdict;
use crate::inspect::{Step, judge};

/// The maximum size of an input.
const MAX_INPUT: usize = 64 * 1024;

struct OneScript<'d>(&'d [u8]);

impl Files for OneScript<'_> {
    fn find(&self, path: &str) -> Found {
        let head: &[u8] = match path {
            "/entrypoint.sh" => self.0,
            "/bin/sh" | "/usr/bin/env" | "/usr/bin/redis-server" => b"\x7fELF",
            _ => return Found::Absent,
        };
        Found::File(FileFacts {
            path: if path == "/bin/sh" { "/bin/bash".into() } else { path.into() },
            layer: Some(0),
            is_executable: true,
            size: head.len() as u64,
            is_read: true,
            head: head.into(),
            marks: Marks::default(),
        })
    }
}

/// Judges bytes as `/entrypoint.sh` of an image with a fixed config. Must never panic or hang.
pub fn fuzz_script(data: &[u8]) -> Option<Verdict> {
    let data = data.get(..data.len().min(MAX_INPUT)).unwrap_or_default();
    let start = Start {
        entrypoint: vec!["sh".into(), "/entrypoint.sh".into()],
        cmd: vec!["redis-server".into(), "--port".into(), "1".into()],
        env: vec!["MODE=web".into()],
        ..Start::default()
    };
    match judge(&start, &OneScript(data)).expect("the judge does not fail") {
        Step::Done(verdict) => Some(*verdict),
        Step::Wants(_) => None,
    }
}
