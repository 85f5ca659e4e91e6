//! There is no panic: should one be left after optimisation, the program does not link.

unsafe extern "C" {
    fn a_panic_path_was_left_in_the_reaper() -> !;
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // SAFETY: it does not exist; no binary that could call it can be linked.
    unsafe { a_panic_path_was_left_in_the_reaper() }
}
