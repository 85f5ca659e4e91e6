// The ABI wants 160 bytes below every caller.
core::arch::global_asm!(
    ".globl _start",
    "_start:",
    "lgr %r2, %r15",
    "aghi %r15, -160",
    "brasl %r14, start",
    ".globl syscall",
    "syscall:",
    "lgr %r1, %r6",
    "svc 0",
    "br %r14",
);
