//! ELF files: whether one is a static Linux program, and for which machine (System V ABI, "Object Files"; elf(5)).

use crate::error::{Error, Result};
use crate::image::Platform;

/// `e_machine`, 64-bit, little-endian, and Go's name of the architecture.
const MACHINES: [(u16, bool, bool, &str); 14] = [
    (3, false, true, "386"),
    (8, false, true, "mipsle"),
    (8, false, false, "mips"),
    (8, true, true, "mips64le"),
    (8, true, false, "mips64"),
    (21, true, true, "ppc64le"),
    (21, true, false, "ppc64"),
    (22, true, false, "s390x"),
    (40, false, true, "arm"),
    (62, true, true, "amd64"),
    (183, true, true, "arm64"),
    (243, true, true, "riscv64"),
    (258, true, true, "loong64"),
    (2, false, false, "sparc"),
];

const PT_DYNAMIC: u64 = 2;
const PT_INTERP: u64 = 3;
const DT_NEEDED: u64 = 1;

/// The facts in the header of a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// Go's name of the architecture.
    pub architecture: &'static str,
    /// Whether the program needs no loader and no shared library.
    pub is_static: bool,
}

impl Program {
    /// Parses the header of an ELF executable.
    pub fn parse(file: &[u8]) -> Result<Self> {
        let bad = |why: &str| Error::unsupported(format!("not a Linux executable: {why}"));
        if file.get(..4) != Some(b"\x7fELF") {
            return Err(bad("it has no ELF header"));
        }
        let truncated = || bad("the ELF file is truncated");
        let (class, data) = (*file.get(4).ok_or_else(truncated)?, *file.get(5).ok_or_else(truncated)?);
        if !matches!((class, data), (1 | 2, 1 | 2)) {
            return Err(bad("unknown ELF class or byte order"));
        }
        let elf = Elf { file, wide: class == 2, little: data == 1 };
        let word = |at| elf.number(at, 2).ok_or_else(truncated);
        if !matches!(word(16)?, 2 | 3) {
            return Err(bad("it is an ELF object file or core dump"));
        }
        let machine = word(18)?;
        let architecture = MACHINES
            .iter()
            .find(|m| u64::from(m.0) == machine && m.1 == elf.wide && m.2 == elf.little)
            .map(|m| m.3)
            .ok_or_else(|| bad(&format!("unknown machine {machine}")))?;
        let is_static = elf.is_static().ok_or_else(truncated)?;
        Ok(Program { architecture, is_static })
    }

    /// Returns Go's name of the architecture that an executable is for, from its first 20 bytes.
    pub fn machine(head: &[u8]) -> Option<&'static str> {
        let (class, data) = (*head.get(4)?, *head.get(5)?);
        if !head.starts_with(b"\x7fELF") || !matches!((class, data), (1 | 2, 1 | 2)) {
            return None;
        }
        let elf = Elf { file: head, wide: class == 2, little: data == 1 };
        let (kind, machine) = (elf.number(16, 2)?, elf.number(18, 2)?);
        let is_it =
            |m: &&(u16, bool, bool, &str)| u64::from(m.0) == machine && m.1 == elf.wide && m.2 == elf.little;
        MACHINES.iter().find(is_it).filter(|_| matches!(kind, 2 | 3)).map(|m| m.3)
    }

    /// Returns the static string for an architecture name, if it is known.
    pub fn named(architecture: &str) -> Option<&'static str> {
        MACHINES.iter().map(|machine| machine.3).find(|name| *name == architecture)
    }

    /// Returns the path of the loader of a dynamic program, if these first bytes contain it.
    pub fn loader(head: &[u8]) -> Option<String> {
        Self::machine(head)?;
        let elf = Elf { file: head, wide: head.get(4) == Some(&2), little: head.get(5) == Some(&1) };
        let (start, size) = elf.segment(PT_INTERP)?;
        let (start, size) = (usize::try_from(start).ok()?, usize::try_from(size).ok()?);
        let text = head.get(start..start.checked_add(size)?)?;
        let text = text.split(|byte| *byte == 0).next()?;
        std::str::from_utf8(text).ok().map(String::from)
    }

    /// Returns an error unless `file` can be a reaper on `platform`.
    pub fn check_reaper(file: &[u8], platform: &Platform) -> Result<()> {
        let program = Self::parse(file)?;
        if program.architecture != platform.architecture || platform.os != "linux" {
            return Err(Error::unsupported(format!(
                "it is for linux/{}, not {platform}",
                program.architecture
            )));
        }
        program.check_static()
    }

    /// Returns an error unless the program is static.
    pub fn check_static(&self) -> Result<()> {
        if self.is_static {
            return Ok(());
        }
        Err(Error::unsupported("it is dynamically linked and cannot start in images without its libraries")
            .hint("use a static build, such as tini-static"))
    }
}

struct Elf<'a> {
    file: &'a [u8],
    wide: bool,
    little: bool,
}

impl Elf<'_> {
    fn number(&self, at: u64, bytes: u64) -> Option<u64> {
        let at = usize::try_from(at).ok()?;
        let slice = self.file.get(at..at.checked_add(usize::try_from(bytes).ok()?)?)?;
        let push = |n: u64, byte: &u8| n << 8 | u64::from(*byte);
        Some(if self.little { slice.iter().rev().fold(0, push) } else { slice.iter().fold(0, push) })
    }

    /// Returns the offset and size of the first segment of a type.
    fn segment(&self, kind: u64) -> Option<(u64, u64)> {
        let pick = |narrow, wide| if self.wide { wide } else { narrow };
        let word = pick(4, 8);
        let table = self.number(pick(28, 32), word)?;
        let entry = self.number(pick(42, 54), 2)?;
        let count = self.number(pick(44, 56), 2)?;
        for i in 0..count {
            let header = table.checked_add(i.checked_mul(entry)?)?;
            if self.number(header, 4)? == kind {
                let start = self.number(header.checked_add(pick(4, 8))?, word)?;
                return Some((start, self.number(header.checked_add(pick(16, 32))?, word)?));
            }
        }
        None
    }

    fn is_static(&self) -> Option<bool> {
        let pick = |narrow, wide| if self.wide { wide } else { narrow };
        let word = pick(4, 8);
        let table = self.number(pick(28, 32), word)?;
        let entry = self.number(pick(42, 54), 2)?;
        let count = self.number(pick(44, 56), 2)?;
        let mut has_dynamic = false;
        for i in 0..count {
            let header = table.checked_add(i.checked_mul(entry)?)?;
            match self.number(header, 4)? {
                PT_INTERP => return Some(false),
                // Linkers write one such segment. A file may claim thousands, each as long as the file.
                PT_DYNAMIC if !std::mem::replace(&mut has_dynamic, true) => {
                    let start = self.number(header.checked_add(pick(4, 8))?, word)?;
                    let size = self.number(header.checked_add(pick(16, 32))?, word)?;
                    for j in 0..size / (2 * word) {
                        match self.number(start.checked_add(j * 2 * word)?, word)? {
                            DT_NEEDED => return Some(false),
                            0 => break,
                            _ => {}
                        }
                    }
                }
                _ => {}
            }
        }
        Some(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recognises_the_test_binary_as_a_dynamic_program_for_this_machine() {
        let file = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let program = Program::parse(&file).unwrap();
        assert!(!program.is_static);
        let loader = Program::loader(&file[..8 << 10]).unwrap();
        assert!(loader.starts_with('/') && loader.contains("ld-"), "{loader}");
        assert_eq!(Program::loader(&file[..100]), None);
        assert_eq!(program.architecture, if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" });
        for cut in [0, 3, 5, 17, 40, 63] {
            assert!(Program::parse(&file[..cut]).is_err(), "{cut}");
        }
        assert!(Program::parse(b"#!/bin/sh\n").is_err());
    }

    #[test]
    fn reads_the_dynamic_section_once() {
        let mut file = vec![1; 16 << 20];
        file[..8].copy_from_slice(b"\x7fELF\x02\x01\x01\0");
        file[16..20].copy_from_slice(b"\x02\0\x3e\0");
        file[32..40].copy_from_slice(&64u64.to_le_bytes());
        // 65,535 program headers at one offset.
        file[54..58].copy_from_slice(&[0, 0, 0xff, 0xff]);
        file[64..72].copy_from_slice(&PT_DYNAMIC.to_le_bytes());
        file[72..80].copy_from_slice(&128u64.to_le_bytes());
        file[96..104].copy_from_slice(&((16u64 << 20) - 128).to_le_bytes());
        // Each tag is eight bytes of 1, which is not a known tag.
        assert!(Program::parse(&file).unwrap().is_static);
    }
}
