//! One line at a time to standard error, in one write each.

use crate::sys;

const ERR: i32 = 2;

/// A text under construction. What does not fit is cut.
pub struct Text {
    buffer: [u8; 160],
    length: usize,
}

impl Text {
    /// Fills in a template: `$` stands for the text, each `#` for the next number.
    pub fn new(template: &str, numbers: &[u32]) -> Text {
        let mut result = Text { buffer: [0; 160], length: 0 };
        result.fill(template, b"", numbers);
        result
    }

    #[inline(never)]
    fn fill(&mut self, template: &str, text: &[u8], numbers: &[u32]) {
        let mut numbers = numbers.iter();
        for &byte in template.as_bytes() {
            match byte {
                b'$' => text.iter().for_each(|&byte| self.push(byte)),
                b'#' => self.number(*numbers.next().unwrap_or(&0)),
                _ => self.push(byte),
            }
        }
    }

    #[inline(never)]
    fn push(&mut self, byte: u8) {
        if let Some(place) = self.buffer.get_mut(self.length) {
            *place = byte;
            self.length += 1;
        }
    }

    fn number(&mut self, mut number: u32) {
        let mut digits = [0; 10];
        let mut used = 0;
        for digit in &mut digits {
            *digit = b'0' + (number % 10) as u8;
            number /= 10;
            used += 1;
            if number == 0 {
                break;
            }
        }
        digits.iter().take(used).rev().for_each(|&digit| self.push(digit));
    }

    pub fn as_bytes(&self) -> &[u8] {
        self.buffer.get(..self.length).unwrap_or_default()
    }
}

/// Writes a line made from a template. That nobody listens is no reason to fail.
pub fn say(template: &str, text: &[u8], numbers: &[u32]) {
    let mut line = Text::new("reaper: ", &[]);
    line.fill(template, text, numbers);
    // A line that was cut still ends.
    line.length = line.length.min(line.buffer.len() - 1);
    line.push(b'\n');
    sys::write(ERR, line.as_bytes());
}
