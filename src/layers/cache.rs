//! Indexes of layers, kept between runs: in one directory, by diff_id, up to a size.

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

/// Changes with the form and the content of an index: what other versions wrote is not read.
const VERSION: &str = "layers-1";
/// How much the directory holds.
const MAX_SIZE: u64 = 256 << 20;
/// How much one index may hold when it is decompressed.
const MAX_INDEX: u64 = 256 << 20;

/// A directory of indexes. Nothing depends on it: what cannot be read is read from the image, what cannot be written
/// is not kept. Several processes may use it at once.
#[derive(Debug, Clone)]
pub struct Cache {
    dir: Arc<PathBuf>,
    max_size: u64,
}

impl Cache {
    /// The user's cache: `$XDG_CACHE_HOME/reapify` or `~/.cache/reapify`. `None` without a home.
    pub fn of_user() -> Option<Self> {
        let absolute =
            |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let base = absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")))?;
        Some(Cache::new(&base.join("reapify"), MAX_SIZE))
    }

    /// A cache in a directory, which is made when something is to be kept. Old indexes go when `max_size` is exceeded.
    pub fn new(dir: &Path, max_size: u64) -> Self {
        Cache { dir: Arc::new(dir.join(VERSION)), max_size }
    }

    fn file(&self, diff_id: &Digest) -> PathBuf {
        self.dir.join(format!("{}.json.gz", diff_id.to_string().replace(':', "-")))
    }

    /// The index of a layer, if it is kept.
    pub async fn get(&self, diff_id: &Digest) -> Option<LayerIndex> {
        let file = self.file(diff_id);
        tokio::task::spawn_blocking(move || read(&file)).await.ok().flatten()
    }

    /// Keeps the index of a layer.
    pub async fn put(&self, diff_id: &Digest, index: Arc<LayerIndex>) {
        let (cache, file) = (self.clone(), self.file(diff_id));
        let writing = move || {
            let kept = cache.write(&file, &index).and_then(|()| cache.shrink());
            if let Err(error) = kept {
                tracing::debug!("cannot keep {}: {error}", file.display());
            }
        };
        // A panic there is reported by the thread itself.
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

    /// Removes what was not used for the longest time until the rest fits.
    fn shrink(&self) -> std::io::Result<()> {
        let mut files: Vec<(SystemTime, u64, PathBuf)> = Vec::new();
        for entry in fs::read_dir(&*self.dir)? {
            let entry = entry?;
            // Another process may have removed it meanwhile.
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
    // Recently used; a cache that cannot be written to is as good.
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
    async fn keeps_what_was_used_last_within_its_size() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::new(dir.path(), 200);
        let index = Arc::new(LayerIndex::default());
        for name in ["a", "b", "c", "d", "e", "f"] {
            cache.put(&digest(name), index.clone()).await;
            // Read again and again, the first one stays.
            assert_eq!(cache.get(&digest("a")).await, Some(LayerIndex::clone(&index)), "after {name}");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        assert_eq!(cache.get(&digest("b")).await, None);
        assert_eq!(cache.get(&digest("f")).await.as_ref(), Some(&*index));
    }

    #[tokio::test]
    async fn what_is_damaged_is_not_there() {
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
