//! The images of `reapify pod`: opens each of them once, and reads the files in their layers that commands
//! lead to.

use super::options::SourceOptions;
use super::places;
use crate::error::{Error, Result};
use crate::image::{Descriptor, ImageConfig, Location};
use crate::inspect::{Findings, Layered, Start, Way, look as inspect, start};
use crate::layers::{Cache, Layers};
use crate::places::Places;
use crate::pod::{CommandJudgement, Deep, ImageFacts, Opened, both};
use crate::read::Reader;
use crate::reapers::Reapers;
use crate::stats::Stats;
use crate::transport::Source;
use futures_util::StreamExt;
use futures_util::stream;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// The number of times that commands may lead to further files.
pub const MAX_ROUNDS: usize = 64;

/// An image that was inspected.
struct One {
    start: Start,
    findings: Findings,
    layers: Layers,
    asked: BTreeSet<String>,
}

/// Images by their names in documents.
pub struct Looked {
    images: BTreeMap<String, One>,
}

/// Inspects images. Returns the failures as well; images that failed count as unknown.
pub async fn look(
    from: &SourceOptions,
    names: Vec<String>,
    no_cache: bool,
) -> Result<(Looked, Vec<(String, Error)>)> {
    let cache = Cache::of_user().filter(|_| !no_cache);
    let mut places = Places::new(from.network.network(Arc::new(Stats::default()))?);
    // Placeholders and invalid names are reported with the documents.
    let named = names.into_iter().filter_map(|name| match name.parse() {
        Ok(location @ Location::Registry(_)) => Some((name, location)),
        _ => None,
    });
    let (names, locations): (Vec<String>, Vec<Location>) = named.unzip();
    let login = places::login_of_all(from, &locations)?;
    let (mut opened, mut failures) = (Vec::new(), Vec::new());
    for (name, location) in names.into_iter().zip(locations) {
        match places.source(&location, login.clone()).await {
            Ok(source) => opened.push((name, location, source)),
            Err(error) => failures.push((name, error)),
        }
    }
    let cache = &cache;
    let looking = opened.into_iter().map(async |(name, location, source)| {
        let one = one(source, cache.clone()).await;
        (name, one.map_err(|error| places::located(error, &location, &[])))
    });
    let mut images = BTreeMap::new();
    let mut looking = stream::iter(looking).buffered(places::TOGETHER);
    while let Some((name, one)) = looking.next().await {
        match one {
            Ok(one) => drop(images.insert(name, one)),
            Err(error) => failures.push((name, error)),
        }
    }
    Ok((Looked { images }, failures))
}

/// Inspects the image for linux/amd64, or the first one for Linux.
async fn one(source: Arc<dyn Source>, cache: Option<Cache>) -> Result<One> {
    let manifest = source.manifest().await?;
    let reader = Reader::new(source.clone());
    let is_linux =
        |child: &&Descriptor| child.platform.as_ref().is_some_and(|p| p.os.as_deref() == Some("linux"));
    let is_usual = |child: &&Descriptor| {
        child.platform.as_ref().is_some_and(|p| p.architecture.as_deref() == Some("amd64"))
    };
    let children = manifest.children().to_vec();
    let chosen = children.iter().filter(is_linux).find(is_usual).or_else(|| children.iter().find(is_linux));
    let chosen = chosen.map(|child| child.digest.clone());
    let is_meant = |child: &Descriptor| chosen.as_ref().is_none_or(|digest| child.digest == *digest);
    let tree = reader.tree(manifest, &is_meant).await?;
    let images = tree.images();
    let Some((image, listed)) = images.first() else {
        return Err(Error::unsupported("no container image for Linux"));
    };
    let config: &ImageConfig = &image.config;
    let mut layers = Layers::new(source.clone(), &image.manifest, config, cache);
    let findings = inspect(image, listed.as_ref(), &Reapers::default(), Some(&mut layers)).await?;
    let platform = findings.platform.complete();
    Ok(One { start: start(config, platform.as_ref()), layers, findings, asked: BTreeSet::new() })
}

impl Looked {
    /// Returns the facts about the images that judging documents requires.
    pub fn facts(&self) -> HashMap<String, ImageFacts> {
        self.images.iter().map(|(name, one)| (name.clone(), one.facts(name))).collect()
    }

    /// Returns the judge of commands in the images.
    pub fn judge(&self) -> Deep<'_> {
        let opened = self.images.iter().map(|(name, one)| {
            let files = Layered::new(one.layers.view(), one.layers.len(), &one.asked);
            (name.clone(), Opened { start: one.start.clone(), files: Box::new(files) })
        });
        Deep::new(opened.collect())
    }

    /// Reads the files that the judge asked for.
    pub async fn read(&mut self, wants: BTreeMap<String, BTreeSet<String>>) -> Result<()> {
        for (name, paths) in wants {
            if let Some(one) = self.images.get_mut(&name) {
                one.asked.extend(one.layers.fetch(paths).await?);
            }
        }
        Ok(())
    }

    /// Returns the words that start the reaper, for each image that has one.
    pub fn prefixes(&self) -> HashMap<String, Vec<String>> {
        let wrapped = self.images.iter().filter_map(|(name, one)| {
            let record = one.findings.record.as_ref()?;
            let words = std::iter::once(record.path.to_string()).chain(record.args.iter().cloned());
            Some((name.clone(), words.chain(["--".to_owned()]).collect()))
        });
        wrapped.collect()
    }
}

impl One {
    fn facts(&self, name: &str) -> ImageFacts {
        let verdict = &self.findings.verdict;
        let init = verdict.init.as_ref().filter(|_| verdict.way == Way::Init);
        ImageFacts {
            image: name.to_owned(),
            entrypoint: self.start.entrypoint.clone(),
            cmd: self.start.cmd.clone(),
            init: init.map(|init| init.name.clone()),
            is_wrapped: self.findings.record.is_some(),
            must_be_pid1: verdict.must_be_pid1.then(|| verdict.recommendation.why.clone()),
            own: both(CommandJudgement::UNKNOWN, verdict),
        }
    }
}
