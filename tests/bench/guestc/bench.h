/* The fixed-work programs of the benchmark: each returns a checksum that does not depend on the machine. */
#ifndef BENCH_H
#define BENCH_H
#include <stdint.h>
#include <stddef.h>

struct work {
	const char *name;  /* as printed */
	const char *group; /* int, fp, sys, mem or disk */
	uint64_t (*run)(void);
};

extern const struct work int_works[], fp_works[], mem_works[], sys_works[], disk_works[];

/* rnd is a xorshift generator: the same numbers everywhere. */
static inline uint64_t rnd(uint64_t *s)
{
	*s ^= *s << 13;
	*s ^= *s >> 7;
	*s ^= *s << 17;
	return *s;
}

#endif
