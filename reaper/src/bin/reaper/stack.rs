//! The arguments and the environment, as execve(2) stores them: argc, argv…, NULL, envp…, NULL.

/// A NULL-terminated list of strings, as execve(2) takes it.
pub type Strings = *const *const u8;

#[derive(Clone, Copy)]
pub struct Stack(*const usize);

impl Stack {
    /// # Safety
    /// `pointer` must be the stack pointer at the entry of the program. The memory that it points
    /// to must not have been modified, and no other code may modify it.
    pub unsafe fn new(pointer: *const usize) -> Stack {
        Stack(pointer)
    }

    /// Returns the arguments from index `first` on, as execve(2) takes them. `first` must not be
    /// greater than the number of arguments.
    pub fn argv(self, first: usize) -> Strings {
        // SAFETY: argv follows argc, and contains that many entries and a NULL.
        unsafe { self.0.add(1 + first.min(*self.0)).cast() }
    }

    /// Returns the arguments from index `first` on.
    pub fn args(self, first: usize) -> Iter {
        Iter(self.argv(first))
    }

    /// Returns the environment, as execve(2) takes it.
    pub fn envp(self) -> Strings {
        // SAFETY: envp follows the NULL of argv.
        unsafe { self.argv(usize::MAX).add(1) }
    }

    /// Returns the entries of the environment.
    pub fn environment(self) -> Iter {
        Iter(self.envp())
    }
}

/// An iterator over the strings before the NULL. The strings live as long as the program.
#[derive(Clone, Copy)]
pub struct Iter(Strings);

impl Iterator for Iter {
    type Item = &'static [u8];

    fn next(&mut self) -> Option<&'static [u8]> {
        // SAFETY: only `Stack` creates an `Iter`, with a NULL-terminated list. The iterator never
        // moves past the NULL, and the strings are NUL-terminated and never modified.
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
