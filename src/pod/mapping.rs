//! Mappings of images to their replacements: single images, repositories, and registries.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

/// The host of Docker Hub, to which short names refer.
const HUB: &str = "docker.io";

/// The reason why an image with a digest is not replaced by its tag.
const PINNED: &str = "the image has a digest, and its replacement has another: add an entry for this digest";

/// The full name of an image: `docker.io/library/nginx`, with tag and digest.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ImageName {
    /// The host and path.
    pub repository: String,
    /// The tag, if it is written.
    pub tag: Option<String>,
    /// The digest, if it is written.
    pub digest: Option<String>,
}

impl ImageName {
    /// Returns whether two names denote the same image: a missing tag is `latest`.
    fn means(&self, other: &ImageName) -> bool {
        let tag = |name: &ImageName| match (&name.tag, &name.digest) {
            // If there is a digest, the tag is irrelevant.
            (_, Some(_)) => None,
            (tag, None) => Some(tag.clone().unwrap_or_else(|| "latest".into())),
        };
        self.repository == other.repository && self.digest == other.digest && tag(self) == tag(other)
    }
}

impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        match &self.digest {
            Some(digest) => write!(f, "@{digest}"),
            None => Ok(()),
        }
    }
}

impl FromStr for ImageName {
    type Err = String;

    fn from_str(text: &str) -> Result<ImageName, String> {
        parse_name(text).map_err(|why| format!("invalid image reference {text:?}: {why}"))
    }
}

fn parse_name(text: &str) -> Result<ImageName, &'static str> {
    let (rest, digest) = match text.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest)),
        None => (text, None),
    };
    let last = rest.rfind('/').map_or(0, |at| at + 1);
    let (path, tag) = match rest[last..].split_once(':') {
        Some((name, tag)) => (&rest[..last + name.len()], Some(tag)),
        None => (rest, None),
    };
    let is_digest =
        |d: &str| d.split_once(':').is_some_and(|(a, hex)| !a.is_empty() && is_word(hex) && is_word(a));
    if digest.is_some_and(|digest| !is_digest(digest)) {
        return Err("invalid digest");
    }
    if tag.is_some_and(|tag| tag.len() > 128 || !is_word(tag)) {
        return Err("invalid tag");
    }
    let repository = qualify(path);
    let (host, parts) = repository.split_once('/').ok_or("missing repository")?;
    let is_host = host.chars().all(|c| c.is_ascii_alphanumeric() || ".-_:[]".contains(c));
    let is_part = |p: &str| {
        !p.is_empty() && p.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c))
    };
    if host.is_empty() || !is_host || !parts.split('/').all(is_part) {
        return Err("host and repository may contain lower-case letters, digits, `.`, `_`, `-` and `/`");
    }
    Ok(ImageName { repository, tag: tag.map(str::to_string), digest: digest.map(str::to_string) })
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "._-+".contains(c))
}

/// Returns a repository with Docker Hub's short forms expanded.
fn qualify(path: &str) -> String {
    let path = path.strip_prefix("index.docker.io/").map_or(path.to_string(), |rest| format!("{HUB}/{rest}"));
    match path.split_once('/') {
        None => format!("{HUB}/library/{path}"),
        Some((host, rest)) if host == HUB && !rest.contains('/') => format!("{HUB}/library/{rest}"),
        Some((host, _)) if is_host(host) => path,
        Some(_) => format!("{HUB}/{path}"),
    }
}

fn is_host(text: &str) -> bool {
    text == "localhost" || text.contains(['.', ':', '['])
}

/// A mapping of images to their replacements.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mapping {
    /// The single images by repository: each image with its replacement.
    images: HashMap<String, Vec<(ImageName, String)>>,
    /// The whole repositories; tags are kept.
    repositories: HashMap<String, String>,
    /// The registries, as hosts or hosts with paths; the rest of the name is kept.
    registries: Vec<(String, String)>,
}

/// The effect of a mapping on an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Replaced {
    /// No entry applies to the image.
    Kept,
    /// The image is replaced by this name.
    By(String),
    /// An entry applies to the image but cannot be used, for this reason.
    Refused(String),
}

impl Mapping {
    /// Returns whether the mapping is empty.
    pub fn is_empty(&self) -> bool {
        self.images.is_empty() && self.repositories.is_empty() && self.registries.is_empty()
    }

    /// Adds `FROM=TO`. If either name has a tag or a digest, one image is replaced; otherwise every image of the
    /// repository is, and tags are kept.
    pub fn add(&mut self, text: &str) -> Result<(), String> {
        let (from, to) = split(text)?;
        self.add_pair(from, to)
    }

    fn add_pair(&mut self, from: &str, to: &str) -> Result<(), String> {
        let (from, to) = (from.trim_start_matches("docker://"), to.trim_start_matches("docker://"));
        let (source, target): (ImageName, ImageName) = (from.parse()?, to.parse()?);
        let is_exact =
            [&source.tag, &source.digest, &target.tag, &target.digest].iter().any(|part| part.is_some());
        let known = match is_exact {
            true => {
                let images = self.images.entry(source.repository.clone()).or_default();
                let known = images.iter().find(|(known, _)| known.means(&source)).map(|(_, to)| to.clone());
                if known.is_none() {
                    images.push((source, to.to_string()));
                }
                known
            }
            false => {
                let known = self.repositories.get(&source.repository).cloned();
                self.repositories.entry(source.repository).or_insert(to.to_string());
                known
            }
        };
        // Two tags of one image give two reports about its digest. The results are the same.
        let is_same = |known: &str| {
            let by_digest = || known.parse().is_ok_and(|known: ImageName| known.digest == target.digest);
            known == to || target.digest.is_some() && by_digest()
        };
        match known.filter(|known| !is_same(known)) {
            Some(known) => Err(format!("invalid map: {from:?} is already replaced by {known:?}")),
            None => Ok(()),
        }
    }

    /// Adds `FROM=TO` for registries, each a host or a host with a path.
    pub fn add_registry(&mut self, text: &str) -> Result<(), String> {
        let (from, to) = split(text)?;
        let (from, to) = (from.trim_end_matches('/'), to.trim_end_matches('/'));
        for part in [from, to] {
            let host = part.split('/').next().unwrap_or_default();
            let is_valid = is_host(host) && format!("{part}/x").parse::<ImageName>().is_ok();
            if !is_valid {
                return Err(format!("invalid registry {part:?}: use HOST or HOST/PATH"));
            }
        }
        let from = from.strip_prefix("index.").filter(|rest| rest.starts_with(HUB)).unwrap_or(from);
        self.registries.push((from.to_string(), to.to_string()));
        Ok(())
    }

    /// Adds the lines of a file: `FROM=TO`, or JSON objects with `source` and `destination`, as in reports; if these
    /// have digests, images named by digest are replaced too. Empty lines and lines that start with `#` are ignored.
    pub fn add_file(&mut self, text: &str) -> Result<(), String> {
        for (n, line) in text.lines().enumerate() {
            let line = line.trim();
            let added = match line.chars().next() {
                None | Some('#') => Ok(()),
                Some('{') => self.add_json(line),
                Some(_) => self.add(line),
            };
            added.map_err(|why| format!("line {}: {why}", n + 1))?;
        }
        Ok(())
    }

    fn add_json(&mut self, line: &str) -> Result<(), String> {
        #[derive(serde::Deserialize)]
        struct Line {
            source: Option<String>,
            destination: Option<String>,
            source_digest: Option<String>,
            digest: Option<String>,
            action: Option<String>,
            #[serde(default)]
            dry_run: bool,
        }
        let read: Line = serde_json::from_str(line).map_err(|e| format!("invalid JSON: {e}"))?;
        if read.dry_run {
            return Err("invalid map: a dry run wrote no image; use the output of the run itself".into());
        }
        // Reports also contain lines that are not about images, and images that do not exist: the copy failed, is
        // pending, or was deleted.
        let is_gone = match read.action.as_deref() {
            Some("failed" | "pruned") => true,
            Some(_) => read.digest.is_none(),
            None => false,
        };
        let (Some(source), Some(destination), false) = (read.source, read.destination, is_gone) else {
            return Ok(());
        };
        self.add_pair(&source, &destination)?;
        let Some(source_digest) = read.source_digest else { return Ok(()) };
        let name: ImageName = source.trim_start_matches("docker://").parse()?;
        let pinned = match read.digest.filter(|_| !destination.contains('@')) {
            Some(digest) => format!("{destination}@{digest}"),
            None => destination,
        };
        // An image named by digest is replaced by another digest.
        self.add_pair(&format!("{}@{source_digest}", name.repository), &pinned)
    }

    /// Returns an error if one entry's result would be replaced by another, because a second run must change nothing.
    pub fn check(&self) -> Result<(), String> {
        let images = self.images.values().flatten().map(|(_, to)| to);
        let unstable = images.into_iter().find(|to| match self.replace(to) {
            Replaced::Kept => false,
            Replaced::By(again) => again != **to,
            Replaced::Refused(_) => true,
        });
        let unstable = unstable.or_else(|| self.repositories.values().find(|to| self.touches(&qualify(to))));
        let unstable =
            unstable.or_else(|| self.registries.iter().map(|(_, to)| to).find(|to| self.touches_below(to)));
        match unstable {
            Some(to) => Err(format!("invalid map: {to:?} is a replacement and is itself replaced")),
            None => Ok(()),
        }
    }

    /// Replaces an image.
    pub fn replace(&self, image: &str) -> Replaced {
        let Ok(name) = image.parse::<ImageName>() else { return Replaced::Kept };
        let images = self.images.get(&name.repository).into_iter().flatten();
        if let Some((_, to)) = images.into_iter().find(|(from, _)| from.means(&name)) {
            return Replaced::By(to.clone());
        }
        let is_tag_mapped = self.images.get(&name.repository).into_iter().flatten().any(|(from, _)| {
            from.digest.is_none() && from.tag.is_some() && from.tag == name.tag && name.digest.is_some()
        });
        if is_tag_mapped {
            return Replaced::Refused(PINNED.into());
        }
        let repository = self.repositories.get(&name.repository).cloned();
        match repository.or_else(|| self.rewritten(&name.repository)) {
            None => Replaced::Kept,
            Some(_) if name.digest.is_some() => Replaced::Refused(PINNED.into()),
            Some(to) => Replaced::By(match &name.tag {
                Some(tag) => format!("{to}:{tag}"),
                None => to,
            }),
        }
    }

    /// Returns the name in another registry; the longest matching prefix determines it.
    fn rewritten(&self, repository: &str) -> Option<String> {
        let fitting = self.registries.iter().filter_map(|(from, to)| {
            let rest = repository.strip_prefix(from.as_str())?.strip_prefix('/')?;
            Some((from.len(), to, rest))
        });
        fitting.max_by_key(|(length, ..)| *length).map(|(_, to, rest)| format!("{to}/{rest}"))
    }

    /// Returns whether any entry applies to images of a repository.
    fn touches(&self, repository: &str) -> bool {
        self.images.contains_key(repository)
            || self.repositories.contains_key(repository)
            || self.rewritten(repository).is_some()
    }

    /// Returns whether any entry applies to a repository below a registry.
    fn touches_below(&self, registry: &str) -> bool {
        self.registries.iter().any(|(from, _)| is_below(registry, from) || is_below(from, registry))
            || self.images.keys().chain(self.repositories.keys()).any(|from| is_below(from, registry))
    }

    /// Returns whether an entry might apply to an image whose name contains placeholders.
    pub(crate) fn may_touch(&self, image: &str) -> bool {
        if self.is_empty() {
            return false;
        }
        let marks = ["{{", "${", "$(", "{%", "<", "@@", "$"];
        let at = marks.iter().filter_map(|mark| image.find(mark)).min().unwrap_or(image.len());
        // The repository and its separator precede the placeholder; otherwise the repository is unknown.
        match image[..at].strip_suffix([':', '@']) {
            Some(known) => known.parse::<ImageName>().map_or(true, |name| self.touches(&name.repository)),
            None => match image[..at].parse::<ImageName>() {
                Ok(name) if name.tag.is_some() => self.touches(&name.repository),
                _ => true,
            },
        }
    }
}

fn is_below(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn split(text: &str) -> Result<(&str, &str), String> {
    match text.split_once('=') {
        Some((from, to)) if !from.trim().is_empty() && !to.trim().is_empty() => Ok((from.trim(), to.trim())),
        _ => Err(format!("invalid map {text:?}: use FROM=TO")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapping(maps: &[&str], registries: &[&str]) -> Mapping {
        let mut mapping = Mapping::default();
        maps.iter().for_each(|text| mapping.add(text).unwrap());
        registries.iter().for_each(|text| mapping.add_registry(text).unwrap());
        mapping
    }

    fn by(name: &str) -> Replaced {
        Replaced::By(name.to_string())
    }

    #[test]
    fn expands_short_names_of_docker_hub() {
        let map = mapping(&["nginx:latest=r.test/nginx:1"], &[]);
        for name in
            ["nginx", "nginx:latest", "docker.io/nginx", "docker.io/library/nginx:latest", "library/nginx"]
        {
            assert_eq!(map.replace(name), by("r.test/nginx:1"), "{name}");
        }
        for name in ["nginx:1", "r.test/nginx", "bitnami/nginx", "localhost/nginx:latest"] {
            assert_eq!(map.replace(name), Replaced::Kept, "{name}");
        }
    }

    #[test]
    fn repositories_keep_their_tags() {
        let map = mapping(&["quay.io/a/b=r.test/w/b"], &[]);
        assert_eq!(map.replace("quay.io/a/b:v1"), by("r.test/w/b:v1"));
        assert_eq!(map.replace("quay.io/a/b"), by("r.test/w/b"));
        assert_eq!(map.replace("quay.io/a/bc:v1"), Replaced::Kept);
    }

    #[test]
    fn replaces_digests_only_by_exact_entries() {
        let pinned = "quay.io/a/b:v1@sha256:00ff";
        assert!(matches!(mapping(&["quay.io/a/b=r.test/b"], &[]).replace(pinned), Replaced::Refused(_)));
        assert!(matches!(mapping(&[], &["quay.io=r.test"]).replace(pinned), Replaced::Refused(_)));
        let exact = mapping(&["quay.io/a/b@sha256:00ff=r.test/b:v1"], &[]);
        assert_eq!(exact.replace(pinned), by("r.test/b:v1"));
    }

    #[test]
    fn rewrites_the_longest_registry_prefix_at_path_boundaries() {
        let map = mapping(&[], &["docker.io=mirror.test/hub", "quay.io/org=mirror.test/org"]);
        assert_eq!(map.replace("nginx:1"), by("mirror.test/hub/library/nginx:1"));
        assert_eq!(map.replace("quay.io/org/x"), by("mirror.test/org/x"));
        assert_eq!(map.replace("quay.io/organ/x"), Replaced::Kept);
    }

    #[test]
    fn exact_entries_take_precedence() {
        let map = mapping(&["nginx=r.test/all", "nginx:1=r.test/one:1"], &["docker.io=m.test"]);
        assert_eq!(map.replace("nginx:1"), by("r.test/one:1"));
        assert_eq!(map.replace("nginx:2"), by("r.test/all:2"));
        assert_eq!(map.replace("redis"), by("m.test/library/redis"));
    }

    #[test]
    fn reads_pairs_and_reports_from_files() {
        let mut map = Mapping::default();
        let file = "# c\n\na:1=r.test/a:1\n{\"source\":\"docker://b:2\",\"destination\":\"r.test/b:2\"}\n";
        map.add_file(file).unwrap();
        assert_eq!(map.replace("a:1"), by("r.test/a:1"));
        assert_eq!(map.replace("b:2"), by("r.test/b:2"));
        assert_eq!(map.add_file("x").unwrap_err(), "line 1: invalid map \"x\": use FROM=TO");
    }

    #[test]
    fn reports_with_digests_replace_pinned_images_by_digest() {
        let mut map = Mapping::default();
        let line = r#"{"source":"quay.io/a/b:1","destination":"r.test/b:1","source_digest":"sha256:aa","digest":"sha256:bb"}"#;
        map.add_file(line).unwrap();
        assert_eq!(map.replace("quay.io/a/b:1"), by("r.test/b:1"));
        assert_eq!(map.replace("quay.io/a/b:1@sha256:aa"), by("r.test/b:1@sha256:bb"));
        assert!(matches!(map.replace("quay.io/a/b:1@sha256:cc"), Replaced::Refused(_)));
        assert_eq!(map.replace("quay.io/a/b:2@sha256:cc"), Replaced::Kept);
    }

    #[test]
    fn ignores_images_that_a_report_does_not_confirm() {
        let line = |more: &str| format!(r#"{{"source":"quay.io/a/b:1","destination":"r.test/b:1"{more}}}"#);
        let digests = r#","source_digest":"sha256:aa","digest":"sha256:bb""#;
        for (more, is_there) in [
            (r#","action":"failed""#.to_owned(), false),
            (format!(r#"{digests},"action":"failed""#), false),
            (format!(r#"{digests},"action":"pruned""#), false),
            (r#","source_digest":null,"digest":null,"action":"wrapped","written":false"#.to_owned(), false),
            (format!(r#"{digests},"action":"unchanged","written":false"#), true),
            (format!(r#"{digests},"action":"wrapped","written":true"#), true),
        ] {
            let mut map = Mapping::default();
            map.add_file(&line(&more)).unwrap();
            let expected = if is_there { by("r.test/b:1") } else { Replaced::Kept };
            assert_eq!(map.replace("quay.io/a/b:1"), expected, "{more}");
        }
        let dry_run = line(&format!(r#"{digests},"action":"wrapped","dry_run":true"#));
        assert!(
            Mapping::default().add_file(&dry_run).unwrap_err().starts_with("line 1: invalid map: a dry run")
        );
    }

    #[test]
    fn rejects_chains() {
        assert!(mapping(&["a:1=r.test/a:1"], &["docker.io=r.test/hub"]).check().is_ok());
        assert!(mapping(&["a:1=b:1", "b:1=c:1"], &[]).check().is_err());
        assert!(mapping(&["a=r.test/a"], &["r.test=s.test"]).check().is_err());
        assert!(mapping(&[], &["r.test=r.test/again"]).check().is_err());
        assert!(mapping(&["a:1=a:1"], &[]).check().is_ok());
    }

    #[test]
    fn rejects_two_replacements_for_one_image() {
        let mut map = mapping(&["a:1=r.test/a:1"], &[]);
        assert!(map.add("docker.io/library/a:1=r.test/a:1").is_ok());
        assert_eq!(
            map.add("a:1=r.test/b:1").unwrap_err(),
            "invalid map: \"a:1\" is already replaced by \"r.test/a:1\""
        );
    }

    #[test]
    fn accepts_reports_about_two_tags_of_one_image() {
        let report = |tag: &str, digest: &str| {
            format!(
                r#"{{"source":"quay.io/a/b:{tag}","destination":"r.test/b:{tag}","source_digest":"sha256:aa","digest":"sha256:{digest}"}}"#
            )
        };
        let mut map = Mapping::default();
        map.add_file(&format!("{}\n{}\n", report("1", "bb"), report("latest", "bb"))).unwrap();
        assert_eq!(map.replace("quay.io/a/b:latest"), by("r.test/b:latest"));
        assert_eq!(map.replace("quay.io/a/b@sha256:aa"), by("r.test/b:1@sha256:bb"));
        assert!(map.add_file(&report("2", "cc")).is_err());
    }

    #[test]
    fn recognises_the_repository_before_a_placeholder_in_the_tag() {
        let map = mapping(&["quay.io/a/b=r.test/b"], &[]);
        assert!(map.may_touch("quay.io/a/b:${TAG}"));
        assert!(!map.may_touch("quay.io/a/c:${TAG}"));
        assert!(map.may_touch("${REGISTRY}/c:1"));
        assert!(map.may_touch("quay.io/a/${NAME}"));
    }
}
