//! The panic handler, which is never called: if a panic path remains after optimisation, the
//! program does not link.

unsafe extern "C" {
    fn a_panic_path_was_left_in_the_reaper() -> !;
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // SAFETY: the function does not exist, so no binary that could call it can be linked.
    unsafe { a_panic_path_was_left_in_the_reaper() }
}
