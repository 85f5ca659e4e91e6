//! The task to perform on an image, as the user chose it.

use crate::image::media_type::Family;
use crate::image::{Digest, Platform};
use crate::reapers::Reapers;
use crate::rewrite::layer::Layer;
use crate::rewrite::{Policy, index, record};

/// What to do with attestations whose subject is rewritten, which they no longer describe.
#[derive(Debug, Clone, std::marker::Copy, PartialEq, Eq, Default)]
pub enum Attestations {
    /// Drops them.
    #[default]
    Drop,
    /// Copies them unchanged.
    Keep,
}

/// A task to perform on an image.
#[derive(Debug, Clone)]
pub enum Task {
    /// Adds a reaper.
    Wrap(Wrap),
    /// Removes the reaper and restores the original.
    Unwrap,
    /// Copies the image unchanged.
    Copy(Copy),
}

/// The options of a copy.
#[derive(Debug, Clone, Default)]
pub struct Copy {
    /// The platforms to keep of an index; all if empty.
    pub platforms: Vec<Platform>,
}

/// What to do with something that cannot be wrapped, if the source is nothing else.
#[derive(Debug, Clone, std::marker::Copy, PartialEq, Eq, Default)]
pub enum Unsupported {
    /// Fails with an error.
    #[default]
    Fail,
    /// Copies it unchanged, and reports the reason.
    Carry,
}

impl Task {
    /// Returns the platforms to keep of an index; all if empty.
    pub(super) fn platforms(&self) -> &[Platform] {
        match self {
            Task::Wrap(wrap) => &wrap.platforms,
            Task::Copy(copy) => &copy.platforms,
            Task::Unwrap => &[],
        }
    }

    /// Returns whether an image that cannot be rewritten is an error even in an index, because it was
    /// requested.
    pub(super) fn is_strict(&self) -> bool {
        match self {
            Task::Wrap(wrap) => wrap.strict || !wrap.platforms.is_empty(),
            Task::Unwrap | Task::Copy(_) => false,
        }
    }
}

/// The options of a wrap.
#[derive(Debug, Clone, Default)]
pub struct Wrap {
    /// The available reapers.
    pub reapers: Reapers,
    /// The options that shape each image.
    pub policy: Policy,
    /// What to do with attestations.
    pub attestations: Attestations,
    /// The platforms to keep of an index; all if empty.
    pub platforms: Vec<Platform>,
    /// Whether to replace a file that the image has at the reaper's path.
    pub replace: bool,
    /// Whether an image of an index that cannot be wrapped is an error, instead of being carried over.
    pub strict: bool,
    /// What to do with a source that cannot be wrapped, or is not an image.
    pub unsupported: Unsupported,
}

impl Wrap {
    /// Returns all recipes that this wrap could record for an image, one per reaper.
    pub(super) fn recipes(&self, source: Family) -> impl Iterator<Item = Digest> + '_ {
        let policies = [self.policy.for_family(source), self.policy.clone()];
        policies.into_iter().flat_map(|policy| {
            let recipes = self.reapers.selectable().map(|r| record::recipe(&r.digest, &policy));
            recipes.collect::<Vec<_>>()
        })
    }

    /// Returns whether a layer is one that this wrap adds.
    pub(super) fn may_have_added(&self, layer: &Digest) -> bool {
        let layers =
            self.reapers.selectable().filter_map(|r| Layer::new(&self.policy.path, &r.program, &[]).ok());
        layers.into_iter().any(|l| l.digest == *layer)
    }

    /// Returns the recipe of an index whose source has media types of this family.
    pub(super) fn index_recipe(&self, source: Family) -> Digest {
        let platforms: Vec<String> = self.platforms.iter().map(Platform::to_string).collect();
        let attestations = match self.attestations {
            Attestations::Drop => "drop",
            Attestations::Keep => "keep",
        };
        index::recipe(
            &self.reapers,
            &self.policy.for_family(source),
            &format!("{attestations} {}", platforms.join(" ")),
        )
    }
}
