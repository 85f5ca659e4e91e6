//! Suggestions for what the user may have meant.

use super::values::TRANSPORTS;
use crate::credentials::Store;
use crate::error::{Error, Result};
use crate::image::Location;
use crate::transport::decompress::Format;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// The maximum number of suggestions.
const MOST: usize = 3;
/// The maximum number of edits between similar names.
const EDITS: usize = 2;
/// The number of bytes at the start of a file that identify its type.
const HEAD: usize = 512;

/// Parses the name of an image. Suggests a transport for archives and layouts that exist, and for misspelled transports.
pub fn location(text: &str) -> Result<Location> {
    check(text)?;
    text.parse()
}

/// Parses the name of a destination, with the same suggestions.
pub fn destination(text: &str) -> Result<Location> {
    check(text)?;
    Location::destination(text)
}

fn check(text: &str) -> Result<()> {
    if let Some(inner) = text.strip_prefix("oci:")
        && TRANSPORTS.iter().any(|transport| inner.starts_with(transport))
    {
        return Err(Error::usage(format!("{text:?} has two transports"))
            .hint(format!("use {inner}, or oci:./{inner} for a directory of that name")));
    }
    if !TRANSPORTS.iter().any(|transport| text.starts_with(transport)) {
        if let Some(error) = local(text) {
            return Err(error);
        }
        if let Some(transport) = misspelled(text) {
            return Err(Error::usage(format!("unknown transport in {text:?}"))
                .hint(format!("a similar transport exists: {transport}")));
        }
        if is_path(text) {
            return Err(Error::usage(format!("{text:?} is the name of a file, not of an image"))
                .hint(format!("for a file use oci-archive:{text} or docker-archive:{text}, and for a directory oci:{text}")));
        }
    }
    Ok(())
}

/// Returns the error for the path of an archive or a layout without its transport.
fn local(text: &str) -> Option<Error> {
    let path = Path::new(text);
    if path.is_dir() {
        let is_layout = path.join("oci-layout").is_file();
        return is_layout.then(|| {
            Error::usage(format!("{text:?} is a directory with an OCI layout, not the name of an image"))
                .hint(format!("use oci:{text}"))
        });
    }
    (path.is_file() && is_archive(path)).then(|| {
        Error::usage(format!("{text:?} is an archive, not the name of an image"))
            .hint(format!("use docker-archive:{text} for what `docker save` wrote, or oci-archive:{text}"))
    })
}

/// Returns whether a name is meant as that of a file: it is a path, or ends like an archive and names no registry.
fn is_path(text: &str) -> bool {
    let is_archive = [".tar", ".tar.gz", ".tgz", ".tar.zst"].iter().any(|end| text.ends_with(end));
    let is_path = ["/", "./", "../"].iter().any(|start| text.starts_with(start));
    let names_host =
        text.split_once('/').is_some_and(|(host, _)| host.contains(['.', ':']) || host == "localhost");
    is_path || (is_archive && !names_host && !text.contains(':'))
}

/// Returns whether a file starts like a tar archive, compressed or not.
fn is_archive(path: &Path) -> bool {
    let mut head = Vec::new();
    let read = File::open(path).and_then(|file| file.take(HEAD as u64).read_to_end(&mut head));
    let is_tar = head.get(257..262) == Some(b"ustar");
    read.is_ok() && (is_tar || Format::of(&head) != Format::Plain)
}

/// Returns the transport that is similar to a misspelled one. Only words with a hyphen, or followed by `://`,
/// can be transports; others are names of images.
fn misspelled(text: &str) -> Option<&'static str> {
    let (word, rest) = text.split_once(':')?;
    if !(word.contains('-') || rest.starts_with("//")) || word.contains(['/', '.']) {
        return None;
    }
    let distance =
        |transport: &str| strsim::damerau_levenshtein(word, transport.trim_end_matches([':', '/']));
    let nearest = TRANSPORTS.into_iter().min_by_key(|transport| distance(transport))?;
    (1..=EDITS).contains(&distance(nearest)).then_some(nearest)
}

/// Returns the error for a command that only other programs have.
pub fn command_of_others(word: &str) -> Option<Error> {
    if !["login", "logout"].contains(&word) {
        return None;
    }
    let files: Vec<String> = Store::default().paths().iter().map(|path| path.display().to_string()).collect();
    let files = files.join(", ");
    Some(Error::usage(format!("reapify has no command {word}")).hint(format!(
        "use `docker {word} HOST` or `podman {word} HOST`; reapify reads the files that they write: {files}"
    )))
}

/// Returns the names that are similar to one that does not exist, the most similar first.
pub fn similar<'n>(missing: &str, names: impl Iterator<Item = &'n str>) -> Vec<&'n str> {
    let mut close: Vec<(usize, &str)> = names
        .filter_map(|name| {
            let edits = strsim::damerau_levenshtein(missing, name);
            let continues = name.starts_with(missing) || missing.starts_with(name);
            (edits <= EDITS.min(missing.len() / 2) || continues).then_some((edits, name))
        })
        .collect();
    close.sort_unstable();
    close.into_iter().map(|(_, name)| name).take(MOST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misspelled_transports() {
        for (text, meant) in [
            ("docker-archiv:x", Some("docker-archive:")),
            ("oci-archive-x:y", Some("oci-archive:")),
            ("docker-deamon:app", Some("docker-daemon:")),
            ("dcoker://host/app", Some("docker://")),
            ("my-app:latest", None),
            ("ocr:latest", None),
            ("host.example/docker-archiv:x", None),
        ] {
            assert_eq!(misspelled(text), meant, "{text}");
        }
    }

    #[test]
    fn names_of_files_are_not_images() {
        for text in ["out.tar", "./out.tar", "/tmp/out", "../out", "dir/out.tar.gz", "out.tgz"] {
            let hint = location(text).unwrap_err().remedy().unwrap().to_string();
            assert!(hint.starts_with(&format!("for a file use oci-archive:{text} ")), "{hint}");
            assert!(destination(text).is_err(), "{text}");
        }
        for text in [
            "registry.example/out.tar",
            "localhost/out.tar",
            "docker://out.tar",
            "app.target",
            "app:v1.tar",
            "tar",
        ] {
            assert!(location(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn similar_tags_are_sorted() {
        let tags = ["1.25", "1.25.3", "1.26", "latest", "2.0-alpine"];
        assert_eq!(similar("1.2", tags.into_iter()), ["1.25", "1.26", "1.25.3"]);
        assert_eq!(similar("lastest", tags.into_iter()), ["latest"]);
        assert!(similar("main", tags.into_iter()).is_empty());
    }

    #[test]
    fn archives_and_layouts_get_their_transport() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name).display().to_string();
        std::fs::write(path("app.tar.gz"), [0x1f, 0x8b, 8, 0]).unwrap();
        std::fs::write(path("secret"), "password").unwrap();
        std::fs::create_dir(path("layout")).unwrap();
        std::fs::write(path("layout/oci-layout"), "{}").unwrap();
        let hint = |name: &str| location(&path(name)).unwrap_err().remedy().unwrap().to_string();
        assert!(hint("app.tar.gz").contains("docker-archive:"));
        assert!(hint("layout").starts_with("use oci:"));
        let error = location(&path("secret")).unwrap_err();
        assert!(!error.to_string().contains("password"), "{error}");
    }
}
