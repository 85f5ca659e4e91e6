//! Temporary files that must be removed if the program ends without running destructors.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// The number of files from which removed ones are dropped from the list.
const MANY: usize = 64;

static FILES: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// Records a temporary file. Removing or renaming it need not be reported.
pub fn note(path: &Path) {
    let mut files = FILES.lock().unwrap_or_else(PoisonError::into_inner);
    if files.len() >= MANY {
        files.retain(|file| file.exists());
    }
    files.push(path.into());
}

/// Keeps a file that is not temporary any more.
pub fn keep(path: &Path) {
    FILES.lock().unwrap_or_else(PoisonError::into_inner).retain(|file| file != path);
}

/// Removes all remaining temporary files, before the process ends without running destructors.
pub fn remove_all() {
    let mut files = FILES.lock().unwrap_or_else(PoisonError::into_inner);
    for file in files.drain(..) {
        // Most files no longer exist, and other errors cannot be handled here.
        let _ = std::fs::remove_file(file);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forgets_removed_files() {
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
