//! Finding of programs: paths, `PATH`, and the kernel's rules for `#!`.

use crate::inspect::files::{FileFacts, Files, Found};

/// The search path if the image sets none.
pub const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Returns a path relative to a directory, without `.` and `..`.
pub fn join(base: &str, path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    let base = if path.starts_with('/') { "" } else { base };
    for part in base.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => _ = parts.pop(),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

/// The location of a program.
#[derive(Debug, Clone)]
pub enum Located {
    /// The program is this file.
    File(Box<FileFacts>, String),
    /// The program is not in the layers.
    Absent,
    /// The location is unknown.
    Unknown,
}

/// Looks up a program as `execvp` does. Paths that have not been read are added to `wants`.
pub fn locate(
    files: &dyn Files,
    name: &str,
    search: Option<&str>,
    directory: Option<&str>,
    wants: &mut dyn FnMut(String),
) -> Located {
    if name.contains('/') {
        let path = match directory {
            _ if name.starts_with('/') => join("/", name),
            Some(directory) => join(directory, name),
            None => return Located::Unknown,
        };
        return match files.find(&path) {
            Found::File(file) => Located::File(Box::new(file), path),
            Found::Absent | Found::Directory => Located::Absent,
            Found::Unknown => Located::Unknown,
            Found::Unread => {
                wants(path);
                Located::Unknown
            }
        };
    }
    let Some(search) = search else { return Located::Unknown };
    let mut found = Located::Absent;
    for entry in search.split(':').filter(|entry| !entry.is_empty()).take(64) {
        let path = join(entry, name);
        match (files.find(&path), &found) {
            (Found::File(file), Located::Absent) if file.is_executable => {
                found = Located::File(Box::new(file), path)
            }
            (Found::Unread, Located::Absent | Located::Unknown) => {
                wants(path);
                found = Located::Unknown;
            }
            (Found::Unknown, Located::Absent) => found = Located::Unknown,
            _ => {}
        }
    }
    found
}

/// Returns the interpreter and its argument from the first line of a script, as the kernel parses it.
pub fn interpreter(head: &[u8]) -> Option<(String, Option<String>)> {
    let line = head.strip_prefix(b"#!")?;
    let line = line.get(..line.len().min(254))?;
    let line = line.split(|byte| *byte == b'\n').next()?;
    let line = String::from_utf8_lossy(line);
    let line = line.trim_matches([' ', '\t', '\r', '\0']);
    let (program, argument) = line.split_once([' ', '\t']).unwrap_or((line, ""));
    let argument = argument.trim();
    (!program.is_empty()).then(|| (program.into(), (!argument.is_empty()).then(|| argument.into())))
}

/// Returns whether a file is an ELF program.
pub fn is_elf(head: &[u8]) -> bool {
    head.starts_with(b"\x7fELF")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joins_paths_without_leaving_the_root() {
        assert_eq!(join("/app", "./run.sh"), "/app/run.sh");
        assert_eq!(join("/app", "../../../etc/x"), "/etc/x");
        assert_eq!(join("/app", "/bin//sh"), "/bin/sh");
    }

    #[test]
    fn the_kernel_passes_one_argument_to_an_interpreter() {
        let parsed = |line: &str| interpreter(line.as_bytes());
        assert_eq!(parsed("#!/bin/sh\n"), Some(("/bin/sh".into(), None)));
        assert_eq!(
            parsed("#! /usr/bin/env -S a b \nx"),
            Some(("/usr/bin/env".into(), Some("-S a b".into())))
        );
        assert_eq!(parsed("#!\n"), None);
        assert_eq!(parsed("echo"), None);
    }
}
