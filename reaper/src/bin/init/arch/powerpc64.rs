// The entry also points r2 at the table of contents, and makes room for the frame that the ABI
// wants below every caller. The kernel flags an error in cr0.
core::arch::global_asm!(
    ".globl _start",
    "_start:",
    "mr 3, 1",
    "clrrdi 1, 1, 4",
    "li 0, 0",
    "stdu 0, -32(1)",
    "lis 2, .TOC.@ha",
    "addi 2, 2, .TOC.@l",
    "bl start",
    "nop",
    ".globl syscall",
    ".type syscall, @function",
    "syscall:",
    "mr 0, 7",
    "sc",
    "bnslr",
    "neg 3, 3",
    "blr",
);
