/* The least a reaper can be, without a libc (linux/amd64): tiny-init [FLAG…] -- PROGRAM [ARG…]
 *
 * Starts PROGRAM (an absolute path), reaps whatever ends, exits with PROGRAM's code. It forwards no
 * signals and is no init to use: tests give it to `--reaper` where the bytes of the reaper must not
 * change, as for the golden digest. Built by testdata/build-zombies.
 */

enum { SYS_fork = 57, SYS_execve = 59, SYS_wait4 = 61, SYS_exit_group = 231 };

static long sys(long n, long a, long b, long c, long d)
{
    register long r10 __asm__("r10") = d;
    long ret;
    __asm__ volatile("syscall"
                     : "=a"(ret)
                     : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10)
                     : "rcx", "r11", "memory");
    return ret;
}

static void __attribute__((noreturn)) quit(int code)
{
    for (;;)
        sys(SYS_exit_group, code, 0, 0, 0);
}

void __attribute__((noreturn, used)) start(long *stack)
{
    char **arg = (char **)(stack + 2), **env = (char **)(stack + 1) + stack[0] + 1;
    while (*arg && !(arg[0][0] == '-' && arg[0][1] == '-' && arg[0][2] == 0))
        arg++;
    if (!*arg || !arg[1])
        quit(127);
    arg++;
    long main = sys(SYS_fork, 0, 0, 0, 0);
    if (main == 0) {
        sys(SYS_execve, (long)*arg, (long)arg, (long)env, 0);
        quit(127);
    }
    for (;;) {
        int status = 0;
        long ended = sys(SYS_wait4, -1, (long)&status, 0, 0);
        if (ended == main)
            quit(status & 0x7f ? 128 + (status & 0x7f) : (status >> 8) & 0xff);
        if (ended < 0)
            quit(1);
    }
}

__asm__(".globl _start\n_start:\n\txor %ebp, %ebp\n\tmov %rsp, %rdi\n\tcall start\n");
