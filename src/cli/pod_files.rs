//! The files of `reapify pod`: reads documents, and writes patched ones.

use crate::error::{Error, Result};
use crate::transport::files::Replacement;
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// The maximum depth of directories.
const MAX_DEPTH: usize = 32;

/// A file that was read.
pub struct Input {
    /// Its name, as findings show it.
    pub name: String,
    /// Its path; `None` for standard input.
    pub path: Option<PathBuf>,
    /// Its content.
    pub bytes: Vec<u8>,
}

/// Reads files, the YAML and JSON files below directories in the order of their names, and standard input for
/// `-`.
pub fn read(paths: &[PathBuf]) -> Result<Vec<Input>> {
    let mut inputs = Vec::new();
    for path in paths {
        if path.as_os_str() == "-" {
            let mut bytes = Vec::new();
            std::io::stdin().read_to_end(&mut bytes).map_err(|e| failed(path, &e))?;
            inputs.push(Input { name: "-".into(), path: None, bytes });
        } else if path.is_dir() {
            let before = inputs.len();
            below(path, 0, &mut inputs)?;
            if inputs.len() == before {
                return Err(Error::usage(format!("{}: no .yaml, .yml or .json file", path.display())));
            }
        } else {
            inputs.push(file(path)?);
        }
    }
    Ok(inputs)
}

fn below(dir: &Path, depth: usize, inputs: &mut Vec<Input>) -> Result<()> {
    if depth > MAX_DEPTH {
        return Err(Error::usage(format!("{}: directories are nested too deeply", dir.display())));
    }
    let entries = fs::read_dir(dir).and_then(Iterator::collect::<std::io::Result<Vec<_>>>);
    let mut paths: Vec<PathBuf> =
        entries.map_err(|e| failed(dir, &e))?.iter().map(fs::DirEntry::path).collect();
    paths.sort();
    for path in paths {
        let is_hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        let is_document =
            path.extension().is_some_and(|e| ["yaml", "yml", "json"].iter().any(|known| e == *known));
        if is_hidden {
            continue;
        }
        // Links to directories may form a cycle; links to files are followed.
        if path.is_dir() && !path.is_symlink() {
            below(&path, depth + 1, inputs)?;
        } else if is_document && path.is_file() {
            inputs.push(file(&path)?);
        }
    }
    Ok(())
}

fn file(path: &Path) -> Result<Input> {
    let bytes = fs::read(path).map_err(|e| failed(path, &e))?;
    Ok(Input { name: path.display().to_string(), path: Some(path.into()), bytes })
}

fn failed(path: &Path, error: &std::io::Error) -> Error {
    Error::usage(format!("{}: {error}", path.display()))
}

/// Replaces a file atomically, keeping its permissions. If it is a symbolic link, its target is replaced.
pub fn replace(path: &Path, text: &str) -> Result<()> {
    let replaced = || -> std::io::Result<()> {
        let replacement = Replacement::create(path)?;
        replacement.file().write_all(text.as_bytes())?;
        replacement.persist()
    };
    replaced().map_err(|e| Error::other(format!("cannot write {}: {e}", path.display())))
}
