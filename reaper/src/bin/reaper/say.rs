//! Prints messages to standard error: one line at a time, each in a single write.

use crate::FAILED;
use crate::sys::{self, Answer};

const ERR: i32 = 2;

/// A text that is being built in a buffer. Whatever does not fit is cut off.
pub struct Text<'a> {
    buffer: &'a mut [u8],
    length: usize,
}

impl Text<'_> {
    /// Creates an empty text.
    pub fn new(buffer: &mut [u8]) -> Text<'_> {
        Text { buffer, length: 0 }
    }

    /// Appends a template, in which `$` stands for `text` and each `#` for the next number.
    #[inline(never)]
    pub fn fill(&mut self, template: &str, text: &[u8], numbers: &[u32]) {
        let mut numbers = numbers.iter();
        for &byte in template.as_bytes() {
            match byte {
                b'$' => text.iter().for_each(|&byte| self.push(byte)),
                b'#' => self.number(*numbers.next().unwrap_or(&0)),
                _ => self.push(byte),
            }
        }
    }

    /// Returns whether the text may have been cut off.
    pub fn is_full(&self) -> bool {
        self.length == self.buffer.len()
    }

    #[inline(never)]
    fn push(&mut self, byte: u8) {
        if let Some(place) = self.buffer.get_mut(self.length) {
            *place = byte;
            self.length += 1;
        }
    }

    fn number(&mut self, number: u32) {
        if number > 9 {
            self.number(number / 10);
        }
        self.push(b'0' + (number % 10) as u8);
    }
}

/// Prints a line made from a template. If nobody reads standard error, this neither fails nor
/// waits.
pub fn say(template: &str, text: &[u8], numbers: &[u32]) {
    let mut buffer = [b'\n'; 160];
    // Keep one byte for the newline, so that a line that is cut off still ends with one.
    let mut line = Text::new(buffer.get_mut(..159).unwrap_or_default());
    line.fill("reaper: ", b"", &[]);
    line.fill(template, text, numbers);
    let length = line.length + 1;
    sys::write_now(ERR, buffer.get(..length).unwrap_or_default());
}

/// Prints what failed, with the error number, and exits.
#[inline(never)]
pub fn fail(template: &str, answer: Answer) -> ! {
    say(template, b"", &[answer.errno() as u32]);
    sys::exit(FAILED)
}
