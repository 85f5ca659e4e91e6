//! A cache of layer indexes that persists between runs: one directory, keyed by diff_id, limited in size.

use super::index::LayerIndex;
use crate::image::Digest;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use std::fs;
use std::io::{BufReader, BufWriter, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

/// The version of the cache. It changes with the form and the content of an index, so that entries of other versions
/// are not read.
const VERSION: &str = "layers-1";
/// The maximum size of the directory, in bytes.
const MAX_SIZE: u64 = 256 << 20;
/// The maximum size of one decompressed index, in bytes.
const MAX_INDEX: u64 = 256 << 20;

/// A directory of layer indexes. It is only an optimization: an index that cannot be read is rebuilt from the layer,
/// and a failure to write one is ignored. Several processes may use it at once.
#[derive(Debug, Clone)]
pub struct Cache {
    dir: Arc<PathBuf>,
    max_size: u64,
}

impl Cache {
    /// Returns the user's cache, `$XDG_CACHE_HOME/reapify` or `~/.cache/reapify`; `None` if there is no home
    /// directory.
    pub fn of_user() -> Option<Self> {
        let absolute =
            |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let base = absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")))?;
        Some(Cache::new(&base.join("reapify"), MAX_SIZE))
    }

    /// Creates a cache in a directory, which is created with the first entry. Beyond `max_size`, the least recently
    /// used indexes are removed.
    pub fn new(dir: &Path, max_size: u64) -> Self {
        Cache { dir: Arc::new(dir.join(VERSION)), max_size }
    }

    fn file(&self, diff_id: &Digest) -> PathBuf {
        self.dir.join(format!("{}.json.gz", diff_id.to_string().replace(':', "-")))
    }

    /// Returns the index of a layer, if it is cached.
    pub async fn get(&self, diff_id: &Digest) -> Option<LayerIndex> {
        let file = self.file(diff_id);
        tokio::task::spawn_blocking(move || read(&file)).await.ok().flatten()
    }

    /// Stores the index of a layer.
    pub async fn put(&self, diff_id: &Digest, index: Arc<LayerIndex>) {
        let (cache, file) = (self.clone(), self.file(diff_id));
        let writing = move || {
            let kept = cache.write(&file, &index).and_then(|()| cache.shrink());
            if let Err(error) = kept {
                tracing::debug!("cannot keep {}: {error}", file.display());
            }
        };
        // The thread reports a panic itself.
        let _ = tokio::task::spawn_blocking(writing).await;
    }

    fn write(&self, file: &Path, index: &LayerIndex) -> std::io::Result<()> {
        fs::create_dir_all(&*self.dir)?;
        let temporary = tempfile::Builder::new().prefix(".part-").tempfile_in(&*self.dir)?;
        let mut gzip = GzEncoder::new(BufWriter::new(temporary), Compression::fast());
        serde_json::to_writer(&mut gzip, index)?;
        let temporary = gzip.finish()?.into_inner().map_err(std::io::IntoInnerError::into_error)?;
        temporary.persist(file)?;
        Ok(())
    }

    /// Removes the least recently used indexes until the rest fits.
    fn shrink(&self) -> std::io::Result<()> {
        let mut files: Vec<(SystemTime, u64, PathBuf)> = Vec::new();
        for entry in fs::read_dir(&*self.dir)? {
            let entry = entry?;
            // Another process may have removed the file.
            let Ok(metadata) = entry.metadata() else { continue };
            files.push((metadata.modified()?, metadata.len(), entry.path()));
        }
        files.sort();
        let mut size: u64 = files.iter().map(|(_, size, _)| size).sum();
        for (_, bytes, path) in files {
            if size <= self.max_size {
                break;
            }
            size -= bytes;
            match fs::remove_file(path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

fn read(path: &Path) -> Option<LayerIndex> {
    let file = fs::File::open(path).ok()?;
    // Mark the index as recently used; a read-only cache works too.
    let _ = file.set_modified(SystemTime::now());
    let text = GzDecoder::new(BufReader::new(file)).take(MAX_INDEX);
    serde_json::from_reader(BufReader::new(text)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(text: &str) -> Digest {
        Digest::sha256(text)
    }

    #[tokio::test]
    async fn evicts_the_least_recently_used_indexes() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::new(dir.path(), 200);
        let index = Arc::new(LayerIndex::default());
        for name in ["a", "b", "c", "d", "e", "f"] {
            cache.put(&digest(name), index.clone()).await;
            // The first index is read again every time and therefore stays.
            assert_eq!(cache.get(&digest("a")).await, Some(LayerIndex::clone(&index)), "after {name}");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        assert_eq!(cache.get(&digest("b")).await, None);
        assert_eq!(cache.get(&digest("f")).await.as_ref(), Some(&*index));
    }

    #[tokio::test]
    async fn ignores_damaged_indexes() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::new(dir.path(), 1 << 20);
        cache.put(&digest("a"), Arc::default()).await;
        let file = cache.file(&digest("a"));
        let whole = fs::read(&file).unwrap();
        for damaged in [&whole[..whole.len() / 2], b"", b"{}"] {
            fs::write(&file, damaged).unwrap();
            assert_eq!(cache.get(&digest("a")).await, None);
        }
    }
}
