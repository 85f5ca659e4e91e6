//! Properties that hold for every answer of an engine, and for every address.

use super::address::Address;
use super::answer::{Image, LoadAnswer, message};
use crate::error::Result;
use crate::unseen::is_unseen;

/// Reads bytes as each kind of answer, and as the address of an engine.
pub fn fuzz_answer(data: &[u8]) {
    assert_eq!(
        loaded(data.chunks(7)),
        loaded(std::iter::once(data)),
        "the pieces of an answer do not matter"
    );
    if let Some(text) = message(data) {
        check_printable(&text);
    }
    if let Ok(image) = serde_json::from_slice::<Image>(data) {
        assert!(image.most_saved() > 0);
        if let Some(name) = image.named("app:latest") {
            check_printable(&name);
        }
    }
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(address) = Address::parse(text, None) {
        let written = address.to_string();
        assert_eq!(
            Address::parse(&written, None).expect("a displayed address is valid").to_string(),
            written
        );
    }
}

/// Returns the message of a failed load.
fn loaded<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Option<String> {
    fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<()> {
        let mut answer = LoadAnswer::default();
        pieces.into_iter().try_for_each(|piece| answer.push(piece))?;
        answer.end()
    }
    let text = read(pieces).err()?.to_string();
    check_printable(&text);
    Some(text)
}

fn check_printable(text: &str) {
    assert!(!text.chars().any(is_unseen), "{text:?}");
}
