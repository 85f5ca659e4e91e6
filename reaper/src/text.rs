//! The functions for reading bytes that the rest of the library shares.

/// Returns the text before the first `at`, and the text after it if there is one.
pub fn cut(text: &[u8], at: u8) -> (&[u8], Option<&[u8]>) {
    let mut rest = text.iter();
    let length = rest.position(|&byte| byte == at).unwrap_or(text.len());
    (text.get(..length).unwrap_or(text), text.get(length + 1..))
}

/// Returns the index, from 0, of a word in a list of words that are separated by single spaces.
pub fn place(words: &[u8], word: &[u8]) -> Option<u8> {
    let mut rest = Some(words);
    let mut place = 0;
    while let Some(words) = rest {
        let (head, tail) = cut(words, b' ');
        if same(head, word) {
            return Some(place);
        }
        place += 1;
        rest = tail;
    }
    None
}

/// Returns whether two texts are equal. This is a loop, because the init has no memcmp.
pub fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a == b)
}

/// Returns the text after a prefix; `None` if the text does not start with it.
pub fn after<'a>(text: &'a [u8], prefix: &[u8]) -> Option<&'a [u8]> {
    let (head, tail) = text.split_at_checked(prefix.len())?;
    same(head, prefix).then_some(tail)
}

/// Parses a decimal number, which must consist only of digits, and of at least one.
pub fn decimal(text: &[u8]) -> Option<u32> {
    let mut value = if text.is_empty() { None } else { Some(0u32) };
    for byte in text {
        let digit = u32::from(byte.wrapping_sub(b'0'));
        value = value?.checked_mul(10)?.checked_add(digit).filter(|_| digit < 10);
    }
    value
}
