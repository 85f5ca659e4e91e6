//! Files that have no name of their own yet, for a program that has to end at once.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// From this number on, files that are gone are forgotten.
const MANY: usize = 64;

static FILES: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// Notes a temporary file. It need not be said when it is removed or gets its name.
pub fn note(path: &Path) {
    let mut files = FILES.lock().unwrap_or_else(PoisonError::into_inner);
    if files.len() >= MANY {
        files.retain(|file| file.exists());
    }
    files.push(path.into());
}

/// Removes all temporary files that are left, before the process ends without running destructors.
pub fn remove_all() {
    let mut files = FILES.lock().unwrap_or_else(PoisonError::into_inner);
    for file in files.drain(..) {
        // Most are gone, and for the others nothing more can be done.
        let _ = std::fs::remove_file(file);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forgets_files_that_are_gone() {
        let dir = tempfile::tempdir().unwrap();
        let kept = dir.path().join("kept");
        std::fs::write(&kept, "").unwrap();
        note(&kept);
        for i in 0..10 * MANY {
            note(&dir.path().join(i.to_string()));
        }
        let files = FILES.lock().unwrap();
        assert!(files.len() <= MANY && files.contains(&kept));
    }
}
