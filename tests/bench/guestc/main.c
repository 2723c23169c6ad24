/* bench [NAME …]: runs the works (all but the disk's without names; "disk" adds those) and prints "BENCH name group nanoseconds checksum" for each. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "bench.h"

static uint64_t now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static int wanted(const struct work *w, int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (!strcmp(argv[i], w->name) || !strcmp(argv[i], w->group))
			return 1;
	return argc < 2 && strcmp(w->group, "disk");
}

int main(int argc, char **argv)
{
	static const struct work *const lists[] = { int_works, fp_works, mem_works, sys_works, disk_works };
	if (argc == 3 && !strcmp(argv[1], "exit"))
		return atoi(argv[2]);
	for (unsigned l = 0; l < sizeof lists / sizeof *lists; l++)
		for (const struct work *w = lists[l]; w->name; w++) {
			if (!wanted(w, argc, argv))
				continue;
			uint64_t t = now(), sum = w->run();
			printf("BENCH %s %s %llu %016llx\n", w->name, w->group, (unsigned long long)(now() - t), (unsigned long long)sum);
			fflush(stdout);
		}
	return 0;
}
