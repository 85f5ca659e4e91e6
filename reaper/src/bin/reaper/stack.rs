//! Arguments and environment, where execve(2) puts them: argc, argv…, NULL, envp…, NULL.

/// A list of strings that ends in NULL, as execve(2) takes it.
pub type Strings = *const *const u8;

#[derive(Clone, Copy)]
pub struct Stack(*const usize);

impl Stack {
    /// # Safety
    /// `pointer` must be the stack pointer that the program was entered with, and what it points
    /// to must not have been written to, nor be by others.
    pub unsafe fn new(pointer: *const usize) -> Stack {
        Stack(pointer)
    }

    /// The arguments from number `first` on, as execve(2) takes them. `first` must not be higher
    /// than the number of arguments.
    pub fn argv(self, first: usize) -> Strings {
        // SAFETY: argv follows argc, and holds as many entries and a NULL.
        unsafe { self.0.add(1 + first.min(*self.0)).cast() }
    }

    /// The arguments from number `first` on.
    pub fn args(self, first: usize) -> Iter {
        Iter(self.argv(first))
    }

    /// The environment as execve(2) takes it.
    pub fn envp(self) -> Strings {
        // SAFETY: it follows argv's NULL.
        unsafe { self.argv(usize::MAX).add(1) }
    }

    /// The environment's entries.
    pub fn environment(self) -> Iter {
        Iter(self.envp())
    }
}

/// Strings up to the NULL. They live as long as the program does.
#[derive(Clone, Copy)]
pub struct Iter(Strings);

impl Iterator for Iter {
    type Item = &'static [u8];

    fn next(&mut self) -> Option<&'static [u8]> {
        // SAFETY: only `Stack` makes an `Iter`, with a list that ends in NULL; it is never moved
        // past that, and the strings are NUL-terminated and never written to.
        unsafe {
            let entry = *self.0;
            if entry.is_null() {
                return None;
            }
            self.0 = self.0.add(1);
            let mut length = 0;
            while *entry.add(length) != 0 {
                length += 1;
            }
            Some(core::slice::from_raw_parts(entry, length))
        }
    }
}
