//! The judge of how images start, from command lines and start scripts.

mod commands;
mod hostile;
mod image;
mod scripts;
