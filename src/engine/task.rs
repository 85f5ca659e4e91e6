//! What is to be done to an image, as the user chose it.

use crate::image::media_type::Family;
use crate::image::{Digest, Platform};
use crate::reapers::Reapers;
use crate::rewrite::layer::Layer;
use crate::rewrite::{Policy, index, record};

/// What becomes of attestations whose subject is rewritten: they describe bytes that are no more.
#[derive(Debug, Clone, std::marker::Copy, PartialEq, Eq, Default)]
pub enum Attestations {
    /// They are left out.
    #[default]
    Drop,
    /// They are carried over as they are.
    Keep,
}

/// What is to be done to an image.
#[derive(Debug, Clone)]
pub enum Task {
    /// Put the reaper in front.
    Wrap(Wrap),
    /// Take it away again.
    Unwrap,
    /// Leave it as it is.
    Copy(Copy),
}

/// The choices of a copy.
#[derive(Debug, Clone, Default)]
pub struct Copy {
    /// The platforms to keep of an index; all if empty.
    pub platforms: Vec<Platform>,
}

/// What becomes of something that cannot be wrapped, where it is all that was asked for.
#[derive(Debug, Clone, std::marker::Copy, PartialEq, Eq, Default)]
pub enum Unsupported {
    /// It is an error.
    #[default]
    Fail,
    /// It is copied as it is, with the reason.
    Carry,
}

impl Task {
    /// The platforms to keep of an index; all if empty.
    pub(super) fn platforms(&self) -> &[Platform] {
        match self {
            Task::Wrap(wrap) => &wrap.platforms,
            Task::Copy(copy) => &copy.platforms,
            Task::Unwrap => &[],
        }
    }

    /// Whether an image that cannot be rewritten is an error in an index, too: it was asked for.
    pub(super) fn is_strict(&self) -> bool {
        match self {
            Task::Wrap(wrap) => wrap.strict || !wrap.platforms.is_empty(),
            Task::Unwrap | Task::Copy(_) => false,
        }
    }
}

/// The choices of a wrap.
#[derive(Debug, Clone, Default)]
pub struct Wrap {
    /// The reapers at hand.
    pub reapers: Reapers,
    /// What shapes each image.
    pub policy: Policy,
    /// What becomes of attestations.
    pub attestations: Attestations,
    /// The platforms to keep of an index; all if empty.
    pub platforms: Vec<Platform>,
    /// Replace a file that the image has where the reaper goes.
    pub replace: bool,
    /// An image of an index that cannot be wrapped is an error, and not carried over.
    pub strict: bool,
    /// What becomes of an image that cannot be wrapped, and of what is no image.
    pub unsupported: Unsupported,
}

impl Wrap {
    /// The recipes by which the result of an image may have been made: one a reaper.
    pub(super) fn recipes(&self, source: Family) -> impl Iterator<Item = Digest> + '_ {
        let policies = [self.policy.for_family(source), self.policy.clone()];
        policies.into_iter().flat_map(|policy| {
            let recipes = self.reapers.selectable().map(|r| record::recipe(&r.digest, &policy));
            recipes.collect::<Vec<_>>()
        })
    }

    /// Whether a layer is one that this wrap adds.
    pub(super) fn may_have_added(&self, layer: &Digest) -> bool {
        let layers =
            self.reapers.selectable().filter_map(|r| Layer::new(&self.policy.path, &r.program, &[]).ok());
        layers.into_iter().any(|l| l.digest == *layer)
    }

    /// The recipe of an index whose source has media types of this family.
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
