// The least that an init for Linux on x86-64 can do: block signals, start a program, reap until it has exited, and exit
// with its code. It has no options, forwards no signals and stops nobody. scripts/bench-reaper measures how much longer
// other inits take to start.

static long call(long number, long a, long b, long c, long d) {
    long result;
    register long fourth __asm__("r10") = d;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c), "r"(fourth) : "rcx", "r11", "memory");
    return result;
}

enum { RT_SIGPROCMASK = 14, VFORK = 58, EXECVE = 59, WAIT4 = 61, EXIT_GROUP = 231, SIG_SETMASK = 2 };

__attribute__((noreturn, used)) void start(long *stack) {
    long count = stack[0];
    // Skips the name and `--`.
    char **program = (char **)(stack + 3), **environment = (char **)(stack + count + 2);
    unsigned long all = ~0ul, none = 0;
    call(RT_SIGPROCMASK, SIG_SETMASK, (long)&all, 0, 8);
    long child = call(VFORK, 0, 0, 0, 0);
    if (child == 0) {
        call(RT_SIGPROCMASK, SIG_SETMASK, (long)&none, 0, 8);
        call(EXECVE, (long)program[0], (long)program, (long)environment, 0);
        call(EXIT_GROUP, 127, 0, 0, 0);
    }
    int status;
    while (call(WAIT4, -1, (long)&status, 0, 0) != child) {
    }
    call(EXIT_GROUP, status >> 8 & 255, 0, 0, 0);
    __builtin_unreachable();
}

__asm__(".globl _start\n_start: mov %rsp, %rdi\nand $-16, %rsp\ncall start\n");
