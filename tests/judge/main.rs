//! How images start: the judge of command lines and start scripts.

mod commands;
mod hostile;
mod image;
mod scripts;
