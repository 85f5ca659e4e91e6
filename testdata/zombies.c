/* The story from the field, as one static program without a libc (linux/amd64).
 *
 *   zombies supervise CRASHES HELPERS [CODE]
 *       A supervisor starts a worker, the worker starts HELPERS helpers, the worker is killed and
 *       started again, CRASHES times. The helpers of a killed worker end a moment later; their new
 *       parent is PID 1. When that is the supervisor, which waits for its own worker and for nobody
 *       else, they stay as `[helper] <defunct>`. No signal handler is installed anywhere. After the
 *       last crash the supervisor stays, or exits with CODE.
 *       What it logs holds no process id: the log is the same wherever it runs.
 *   zombies ps            the process table, from /proc: PID PPID STAT NAME
 *   zombies exit N        exit with code N
 *   zombies raise N       die of signal N
 *   zombies args [ARG…]   print each argument on a line of its own
 *   zombies env           print the environment
 *   zombies id            print uid, gid, pid and working directory
 *   zombies sleep [N]     sleep N seconds, or for ever
 *   zombies write FILE    create FILE; exit 1 where that is not possible
 *
 * Built by testdata/build-zombies.
 */

#define NULL ((void *)0)
typedef unsigned long u64;

enum {
    SYS_read = 0, SYS_write = 1, SYS_open = 2, SYS_close = 3, SYS_pipe = 22, SYS_pause = 34,
    SYS_nanosleep = 35, SYS_getpid = 39, SYS_fork = 57, SYS_exit_group = 231, SYS_wait4 = 61,
    SYS_kill = 62, SYS_getcwd = 79, SYS_getuid = 102, SYS_getgid = 104, SYS_prctl = 157,
    SYS_getdents64 = 217,
};
enum { PR_SET_NAME = 15, SIGKILL = 9, O_WRONLY_CREAT = 0101, O_DIRECTORY = 0200000 };

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

static int same(const char *a, const char *b)
{
    while (*a && *a == *b)
        a++, b++;
    return *a == *b;
}

static int number(const char *s)
{
    int n = 0;
    while (*s >= '0' && *s <= '9')
        n = n * 10 + (*s++ - '0');
    return n;
}

/* A line is put together first and written in one call, so that lines of several processes do not mix. */
struct line {
    char text[4096];
    u64 used;
};

static void put(struct line *l, const char *s)
{
    while (*s && l->used < sizeof l->text)
        l->text[l->used++] = *s++;
}

static void put_number(struct line *l, long n, int width)
{
    char digits[24];
    int at = sizeof digits - 1;
    digits[at] = 0;
    do
        digits[--at] = (char)('0' + n % 10);
    while (n /= 10);
    for (int pad = width - (int)(sizeof digits - 1 - at); pad > 0; pad--)
        put(l, " ");
    put(l, digits + at);
}

static void print(struct line *l)
{
    put(l, "\n");
    for (u64 done = 0; done < l->used;) {
        long n = sys(SYS_write, 1, (long)(l->text + done), (long)(l->used - done), 0);
        if (n <= 0)
            break;
        done += (u64)n;
    }
    l->used = 0;
}

static void say(const char *s)
{
    struct line l;
    l.used = 0;
    put(&l, s);
    print(&l);
}

static void name(const char *s)
{
    sys(SYS_prctl, PR_SET_NAME, (long)s, 0, 0);
}

/* Blocks until every writer of the pipe is gone, or one of them has written. */
static void await(int fd)
{
    char byte;
    sys(SYS_read, fd, (long)&byte, 1, 0);
}

static void __attribute__((noreturn)) stay(void)
{
    for (;;)
        sys(SYS_pause, 0, 0, 0, 0);
}

/* Its helpers live as long as it does: they read from a pipe that it alone can write to. */
static void __attribute__((noreturn)) worker(int helpers, int ready, int leash)
{
    int life[2];
    name("worker");
    sys(SYS_pipe, (long)life, 0, 0, 0);
    for (int i = 0; i < helpers; i++) {
        if (sys(SYS_fork, 0, 0, 0, 0) == 0) {
            name("helper");
            sys(SYS_close, ready, 0, 0, 0);
            sys(SYS_close, life[1], 0, 0, 0);
            await(life[0]);
            quit(0);
        }
    }
    sys(SYS_close, life[0], 0, 0, 0);
    /* The helpers keep their end: the supervisor sees when the last of them is gone. */
    sys(SYS_close, leash, 0, 0, 0);
    struct line l;
    l.used = 0;
    put(&l, "worker: started ");
    put_number(&l, helpers, 0);
    put(&l, " helpers");
    print(&l);
    sys(SYS_write, ready, (long)"", 1, 0);
    stay();
}

static long start_worker(int helpers, int *gone)
{
    int ready[2], leash[2];
    sys(SYS_pipe, (long)ready, 0, 0, 0);
    sys(SYS_pipe, (long)leash, 0, 0, 0);
    say("supervisor: starting the worker");
    long pid = sys(SYS_fork, 0, 0, 0, 0);
    if (pid == 0) {
        sys(SYS_close, ready[0], 0, 0, 0);
        sys(SYS_close, leash[0], 0, 0, 0);
        worker(helpers, ready[1], leash[1]);
    }
    sys(SYS_close, ready[1], 0, 0, 0);
    sys(SYS_close, leash[1], 0, 0, 0);
    await(ready[0]);
    sys(SYS_close, ready[0], 0, 0, 0);
    *gone = leash[0];
    return pid;
}

static void __attribute__((noreturn)) supervise(int crashes, int helpers, const char *code)
{
    int gone;
    name("supervisor");
    long pid = start_worker(helpers, &gone);
    for (int i = 0; i < crashes; i++) {
        sys(SYS_kill, pid, SIGKILL, 0, 0);
        /* This worker only: the habit that makes the zombies. */
        sys(SYS_wait4, pid, 0, 0, 0);
        say("supervisor: the worker was killed");
        await(gone);
        sys(SYS_close, gone, 0, 0, 0);
        say("supervisor: its helpers have ended");
        pid = start_worker(helpers, &gone);
    }
    say("supervisor: all is well");
    if (code)
        quit(number(code));
    stay();
}

/* "PID (NAME) STATE PPID …": the name may hold blanks and brackets, so its end is the last bracket. */
static void ps_row(const char *pid)
{
    char path[64], stat[512];
    struct line l;
    l.used = 0;
    put(&l, "/proc/");
    put(&l, pid);
    put(&l, "/stat");
    for (u64 i = 0; i < l.used; i++)
        path[i] = l.text[i];
    path[l.used] = 0;
    l.used = 0;
    long fd = sys(SYS_open, (long)path, 0, 0, 0);
    if (fd < 0)
        return;
    long n = sys(SYS_read, fd, (long)stat, sizeof stat - 1, 0);
    sys(SYS_close, fd, 0, 0, 0);
    if (n <= 0)
        return;
    stat[n] = 0;
    long first = 0, last = n;
    while (stat[first] && stat[first] != '(')
        first++;
    while (last > first && stat[last] != ')')
        last--;
    stat[last] = 0;
    char state[2] = {stat[last + 2], 0};
    put_number(&l, number(pid), 5);
    put_number(&l, number(stat + last + 4), 6);
    put(&l, " ");
    put(&l, state);
    put(&l, "    ");
    put(&l, state[0] == 'Z' ? "[" : "");
    put(&l, stat + first + 1);
    put(&l, state[0] == 'Z' ? "] <defunct>" : "");
    print(&l);
}

static void ps(void)
{
    static char entries[32768];
    name("ps");
    say("  PID  PPID STAT NAME");
    long fd = sys(SYS_open, (long)"/proc", O_DIRECTORY, 0, 0);
    for (;;) {
        long n = sys(SYS_getdents64, fd, (long)entries, sizeof entries, 0);
        if (n <= 0)
            break;
        /* linux_dirent64: inode 8, offset 8, record length 2, type 1, name. */
        for (long at = 0; at < n; at += *(unsigned short *)(entries + at + 16))
            if (entries[at + 19] >= '0' && entries[at + 19] <= '9')
                ps_row(entries + at + 19);
    }
}

static void id(void)
{
    struct line l;
    static char cwd[1024];
    l.used = 0;
    sys(SYS_getcwd, (long)cwd, sizeof cwd, 0, 0);
    put(&l, "uid=");
    put_number(&l, sys(SYS_getuid, 0, 0, 0, 0), 0);
    put(&l, " gid=");
    put_number(&l, sys(SYS_getgid, 0, 0, 0, 0), 0);
    put(&l, " pid=");
    put_number(&l, sys(SYS_getpid, 0, 0, 0, 0), 0);
    put(&l, " cwd=");
    put(&l, cwd);
    print(&l);
}

static int run(int argc, char **argv, char **env)
{
    const char *mode = argc > 1 ? argv[1] : "";
    if (same(mode, "supervise") && argc >= 4)
        supervise(number(argv[2]), number(argv[3]), argc > 4 ? argv[4] : NULL);
    if (same(mode, "ps"))
        return ps(), 0;
    if (same(mode, "exit") && argc == 3)
        return number(argv[2]);
    if (same(mode, "raise") && argc == 3)
        return sys(SYS_kill, sys(SYS_getpid, 0, 0, 0, 0), number(argv[2]), 0, 0), 0;
    if (same(mode, "args")) {
        for (int i = 2; i < argc; i++)
            say(argv[i]);
        return 0;
    }
    if (same(mode, "env")) {
        for (; *env; env++)
            say(*env);
        return 0;
    }
    if (same(mode, "id"))
        return id(), 0;
    if (same(mode, "sleep")) {
        if (argc < 3)
            stay();
        long time[2] = {number(argv[2]), 0};
        sys(SYS_nanosleep, (long)time, 0, 0, 0);
        return 0;
    }
    if (same(mode, "write") && argc == 3)
        return sys(SYS_open, (long)argv[2], O_WRONLY_CREAT, 0644, 0) < 0;
    say("usage: zombies supervise CRASHES HELPERS [CODE] | ps | exit N | raise N | args [ARG…] | env | id"
        " | sleep [N] | write FILE");
    return 64;
}

void __attribute__((noreturn, used)) start(long *stack)
{
    int argc = (int)stack[0];
    char **argv = (char **)(stack + 1);
    quit(run(argc, argv, argv + argc + 1));
}

/* At entry the stack pointer is at argc and aligned to 16; a call needs it so. */
__asm__(".globl _start\n_start:\n\txor %ebp, %ebp\n\tmov %rsp, %rdi\n\tcall start\n");
