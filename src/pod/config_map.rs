//! Scripts that a pod mounts from ConfigMaps of the same input.

use super::find;
use super::parse::Source;
use super::spec::{Container, Pod};
use super::tree::{Place, View};
use std::collections::HashMap;

/// The maximum number of a container's mounts that are examined; each one is compared with all words.
const MAX_MOUNTS: usize = 200;

/// A file from a ConfigMap in a container.
#[derive(Debug, Clone)]
pub struct ScriptFile<'d> {
    /// The path in the container.
    pub path: String,
    /// The contents; `None` if the ConfigMap or the key is not in the input.
    pub text: Option<&'d str>,
    /// The name of the ConfigMap.
    pub config_map: &'d str,
    /// The key in it.
    pub key: String,
    /// The file and the place of the key, if the input contains it.
    pub origin: Option<(&'d str, Place)>,
}

/// The ConfigMaps of all inputs.
#[derive(Debug, Default)]
pub(crate) struct ConfigMaps<'d> {
    by_name: HashMap<&'d str, Vec<ConfigMap<'d>>>,
}

#[derive(Debug, Clone, Copy)]
struct ConfigMap<'d> {
    file: &'d str,
    namespace: Option<&'d str>,
    view: View<'d>,
}

impl<'d> ConfigMaps<'d> {
    /// Collects the ConfigMaps of the sources.
    pub fn of(sources: &'d [Source<'_>]) -> ConfigMaps<'d> {
        let mut maps = ConfigMaps::default();
        for source in sources {
            for view in source.documents.iter().flat_map(find::objects) {
                let is_map = view.get("kind").and_then(View::text) == Some("ConfigMap");
                let Some(name) = view.at(&["metadata", "name"]).and_then(View::text) else { continue };
                if is_map {
                    let namespace = view.at(&["metadata", "namespace"]).and_then(View::text);
                    let found = ConfigMap { file: source.name, namespace, view };
                    maps.by_name.entry(name).or_default().push(found);
                }
            }
        }
        maps
    }

    /// Returns the ConfigMap with a name that a namespace sees; `None` if several match.
    fn get(&self, name: &str, namespace: Option<&str>) -> Option<ConfigMap<'d>> {
        let fits = |map: &&ConfigMap| match (map.namespace, namespace) {
            (Some(a), Some(b)) => a == b,
            _ => true,
        };
        let mut candidates = self.by_name.get(name)?.iter().filter(fits);
        let first = candidates.next()?;
        candidates.next().is_none().then_some(*first)
    }

    /// Returns the files that a container mounts from ConfigMaps and names in its command line.
    pub fn files(&self, pod: &Pod<'d>, container: &Container<'d>) -> Vec<ScriptFile<'d>> {
        let words: Vec<&String> =
            [&container.command, &container.args].iter().filter_map(|w| w.known()).flatten().collect();
        let mut found = Vec::new();
        let mounts = container.view.get("volumeMounts").into_iter().flat_map(View::items);
        for mount in mounts.take(MAX_MOUNTS) {
            let path = mount.get("mountPath").and_then(View::text);
            let name = mount.get("name").and_then(View::text);
            let (Some(path), Some(name)) = (path, name) else { continue };
            let path = path.trim_end_matches('/');
            if path.is_empty() || !words.iter().any(|word| word.contains(path)) {
                continue;
            }
            let volumes = pod.spec.get("volumes").into_iter().flat_map(View::items);
            let volume = volumes.into_iter().find(|v| v.get("name").and_then(View::text) == Some(name));
            let sub_path = mount.get("subPath").and_then(View::text);
            for map in volume.into_iter().flat_map(mounted) {
                self.add(pod, map, Mount { path, sub_path, words: &words }, &mut found);
            }
        }
        found
    }

    fn add(&self, pod: &Pod<'d>, volume: View<'d>, mount: Mount<'_, 'd>, found: &mut Vec<ScriptFile<'d>>) {
        let Some(name) = volume.get("name").and_then(View::text) else { return };
        let map = self.get(name, pod.namespace);
        let data = map.and_then(|map| map.view.get("data"));
        let renamed: Option<Vec<(&str, &str)>> = volume.get("items").map(|items| {
            let pairs =
                items.items().filter_map(|item| Some((item.get("key")?.text()?, item.get("path")?.text()?)));
            pairs.collect()
        });
        for named in mount.named() {
            let key = match &renamed {
                Some(pairs) => pairs.iter().find(|(_, path)| *path == named).map(|(key, _)| *key),
                None => Some(&*named),
            };
            let Some(key) = key else { continue };
            let entry = data.and_then(|data| data.entry(key));
            if data.is_some() && entry.is_none() {
                continue;
            }
            found.push(ScriptFile {
                path: mount.full(&named),
                text: entry.and_then(|(_, value)| value.text()),
                config_map: name,
                key: key.to_string(),
                origin: map.and_then(|map| Some((map.file, entry?.0.place()))),
            });
        }
    }
}

/// Returns the ConfigMaps of a volume, projected ones included.
fn mounted(volume: View<'_>) -> Vec<View<'_>> {
    let projected = volume.at(&["projected", "sources"]).into_iter().flat_map(View::items);
    volume.get("configMap").into_iter().chain(projected.filter_map(|s| s.get("configMap"))).collect()
}

/// A mount of a volume, with the words that may name files in it.
#[derive(Clone, Copy)]
struct Mount<'m, 'd> {
    path: &'d str,
    sub_path: Option<&'d str>,
    words: &'m [&'m String],
}

impl Mount<'_, '_> {
    /// Returns the paths within the volume that the words name.
    fn named(&self) -> Vec<String> {
        if let Some(sub_path) = self.sub_path {
            return vec![sub_path.to_string()];
        }
        let mut found: Vec<String> = Vec::new();
        for word in self.words {
            for (at, _) in word.match_indices(self.path) {
                let rest = &word[at + self.path.len()..];
                let Some(rest) = rest.strip_prefix('/') else { continue };
                let ends = |c: char| c.is_whitespace() || ";&|()<>\"'`".contains(c);
                let name = rest.split(ends).next().unwrap_or_default();
                if !name.is_empty() && !found.iter().any(|known| known == name) && found.len() < 16 {
                    found.push(name.to_string());
                }
            }
        }
        found
    }

    fn full(&self, named: &str) -> String {
        match self.sub_path {
            Some(_) => self.path.to_string(),
            None => format!("{}/{named}", self.path),
        }
    }
}
