//! Selects the attestations to keep in an index: those whose subject is kept and not rewritten. They name
//! their subjects by the original digests.

use super::task::{Attestations, Wrap};
use super::tree::{Child, Node};
use crate::error::{Note, Remedy};
use crate::image::Manifest;
use crate::rewrite::index::Replaced;
use std::collections::HashSet;

/// Returns the positions of the attestations to keep, and adds notes about the others.
pub fn keep(
    wrap: &Wrap,
    mut attestations: Vec<usize>,
    others: &[Child],
    original: &Manifest,
    replaced: &[Replaced],
    notes: &mut Vec<Note>,
) -> Vec<usize> {
    let all = original.children();
    let names = |child: &Child| names(child, original);
    let subject = |i: usize| all.get(i)?.annotation("vnd.docker.reference.digest");
    if !wrap.platforms.is_empty() {
        let kept: HashSet<String> = others.iter().flat_map(names).collect();
        attestations.retain(|i| subject(*i).is_none_or(|subject| kept.contains(subject)));
        let left = all.len().saturating_sub(others.len() + attestations.len());
        if left > 0 {
            let text = format!("the selected platforms leave out {left} of {} children", all.len());
            notes.push(text.into());
        }
    }
    if wrap.attestations == Attestations::Drop {
        let is_rewritten = |child: &&Child| replaced.iter().any(|r| r.position == child.position);
        let rewritten: HashSet<String> = others.iter().filter(is_rewritten).flat_map(names).collect();
        let before = attestations.len();
        attestations.retain(|i| subject(*i).is_none_or(|subject| !rewritten.contains(subject)));
        let text = match before - attestations.len() {
            0 => return attestations,
            1 => "1 attestation was dropped: its subject was rewritten".to_string(),
            n => format!("{n} attestations were dropped: their subjects were rewritten"),
        };
        notes.push(Note::from(text).hint(Remedy::KeepAttestations));
    }
    attestations
}

/// Returns the digests by which an attestation may refer to a child. A narrowed index may still be referred
/// to by the digest of the full one.
fn names(child: &Child, original: &Manifest) -> impl Iterator<Item = String> + use<> {
    let source = match &child.node {
        Node::Index(index) => Some(index.history.source.to_string()),
        _ => None,
    };
    let name = original.children().get(child.position).map(|child| child.digest.to_string());
    name.into_iter().chain(source)
}
