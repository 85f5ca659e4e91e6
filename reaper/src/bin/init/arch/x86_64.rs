core::arch::global_asm!(
    ".globl _start",
    "_start:",
    "xor %ebp, %ebp",
    "mov %rsp, %rdi",
    "and $-16, %rsp",
    "call start",
    ".globl syscall",
    "syscall:",
    "mov %rcx, %r10",
    "mov %r8, %rax",
    "syscall",
    "ret",
    options(att_syntax)
);
