//! reapify retrofits container images with a static reaper as PID 1.
#![forbid(unsafe_code)]
