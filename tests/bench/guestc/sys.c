/* Memory and operating-system work. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "bench.h"

static uint64_t copies(void)
{
	enum { N = 1 << 20 };
	char *a = malloc(N + 64), *b = malloc(N + 64);
	memset(a, 'x', N);
	a[N] = 0;
	uint64_t sum = 0;
	for (int i = 0; i < 600; i++) {
		memcpy(b, a, N + 1);
		b[N - 1 - i] = 0;
		sum += strlen(b);
		memset(b, i, N / 2);
		sum += (unsigned char)b[i];
	}
	free(a);
	free(b);
	return sum;
}

static uint64_t small_copies(void)
{
	static char src[512], dst[512];
	uint64_t s = 3, sum = 0;
	for (int i = 0; i < 512; i++)
		src[i] = rnd(&s) | 1;
	for (int i = 0; i < 1500000; i++) {
		size_t n = rnd(&s) & 127;
		memcpy(dst + (i & 63), src + (n & 31), n);
		sum += dst[i & 127];
	}
	return sum;
}

static uint64_t syscalls(void)
{
	uint64_t n = 0;
	for (int i = 0; i < 300000; i++)
		n += syscall(SYS_getppid) >= 0;
	return n;
}

static uint64_t pingpong(void)
{
	int a[2], b[2];
	char c = 0;
	if (pipe(a) || pipe(b))
		return 0;
	if (fork() == 0) {
		while (read(a[0], &c, 1) == 1 && c != 'q') {
			c++;
			if (write(b[1], &c, 1) != 1)
				break;
		}
		_exit(0);
	}
	uint64_t sum = 0;
	for (int i = 0; i < 15000; i++) {
		c = i & 63;
		if (write(a[1], &c, 1) != 1 || read(b[0], &c, 1) != 1)
			break;
		sum += c;
	}
	c = 'q';
	if (write(a[1], &c, 1) != 1)
		sum = 0;
	wait(0);
	close(a[0]), close(a[1]), close(b[0]), close(b[1]);
	return sum;
}

static uint64_t forks(void)
{
	uint64_t n = 0;
	for (int i = 0; i < 400; i++) {
		pid_t p = fork();
		int st;
		if (p == 0)
			_exit(i & 7);
		if (waitpid(p, &st, 0) == p)
			n += WEXITSTATUS(st);
	}
	return n;
}

static uint64_t execs(void)
{
	uint64_t n = 0;
	for (int i = 0; i < 150; i++) {
		pid_t p = fork();
		int st;
		if (p == 0) {
			execl("/proc/self/exe", "bench", "exit", "5", (char *)0);
			_exit(99);
		}
		if (waitpid(p, &st, 0) == p)
			n += WEXITSTATUS(st);
	}
	return n;
}

static uint64_t faults(void)
{
	enum { N = 4096 * 4096 };
	uint64_t n = 0;
	for (int i = 0; i < 6; i++) {
		char *p = mmap(0, N, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		madvise(p, N, MADV_NOHUGEPAGE);
		for (int k = 0; k < N; k += 4096)
			p[k] = 1, n++;
		munmap(p, N);
	}
	return n;
}

const struct work mem_works[] = { { "copies", "mem", copies }, { "small-copies", "mem", small_copies }, { 0 } };
const struct work sys_works[] = {
	{ "syscalls", "sys", syscalls }, { "pingpong", "sys", pingpong }, { "forks", "sys", forks },
	{ "execs", "sys", execs },	 { "faults", "sys", faults },	  { 0 },
};

static int disk(void) { return open("/dev/vda", O_RDWR | O_DIRECT); }

static uint64_t disk_seq(void)
{
	int fd = disk();
	void *buf;
	uint64_t n = 0;
	if (fd < 0 || posix_memalign(&buf, 4096, 1 << 20))
		return 0;
	for (int pass = 0; pass < 2; pass++)
		for (long off = 0; off < 64 << 20; off += 1 << 20)
			n += pass ? pread(fd, buf, 1 << 20, off) : pwrite(fd, buf, 1 << 20, off);
	fsync(fd);
	free(buf);
	close(fd);
	return n;
}

static uint64_t disk_random(void)
{
	int fd = disk();
	void *buf;
	uint64_t s = 77, n = 0;
	if (fd < 0 || posix_memalign(&buf, 4096, 4096))
		return 0;
	for (int i = 0; i < 4000; i++) {
		long off = rnd(&s) % (64 << 8) * 4096;
		n += i & 1 ? pread(fd, buf, 4096, off) : pwrite(fd, buf, 4096, off);
	}
	free(buf);
	close(fd);
	return n;
}

const struct work disk_works[] = { { "disk-seq", "disk", disk_seq }, { "disk-random", "disk", disk_random }, { 0 } };
