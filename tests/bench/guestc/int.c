/* Integer work: calls, branches, table look-ups, sorting, hashing, indirect jumps. */
#include <stdlib.h>
#include <string.h>
#include "bench.h"

static __attribute__((noinline)) uint64_t fib(unsigned n)
{
	return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

static uint64_t calls(void) { return fib(36); }

static uint64_t sieve(void)
{
	enum { N = 1 << 21 };
	unsigned char *p = calloc(N, 1);
	uint64_t count = 0;
	for (int round = 0; round < 2; round++) {
		memset(p, 0, N);
		for (unsigned i = 2; i < N; i++) {
			if (p[i])
				continue;
			count++;
			for (unsigned j = 2 * i; j < N; j += i)
				p[j] = 1;
		}
	}
	free(p);
	return count;
}

static uint64_t crc(void)
{
	static uint32_t table[256];
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t c = i;
		for (int k = 0; k < 8; k++)
			c = c & 1 ? c >> 1 ^ 0xedb88320u : c >> 1;
		table[i] = c;
	}
	enum { N = 1 << 20 };
	unsigned char *p = malloc(N);
	uint64_t s = 88172645463325252ull;
	for (int i = 0; i < N; i++)
		p[i] = rnd(&s);
	uint32_t c = ~0u;
	for (int round = 0; round < 16; round++)
		for (int i = 0; i < N; i++)
			c = table[(c ^ p[i]) & 0xff] ^ c >> 8;
	free(p);
	return c;
}

static void quick(uint32_t *a, long lo, long hi)
{
	while (lo < hi) {
		uint32_t pivot = a[(lo + hi) / 2];
		long i = lo, j = hi;
		while (i <= j) {
			while (a[i] < pivot)
				i++;
			while (a[j] > pivot)
				j--;
			if (i <= j) {
				uint32_t t = a[i];
				a[i++] = a[j];
				a[j--] = t;
			}
		}
		if (j - lo < hi - i) {
			quick(a, lo, j);
			lo = i;
		} else {
			quick(a, i, hi);
			hi = j;
		}
	}
}

static uint64_t quicksort(void)
{
	enum { N = 600000 };
	uint32_t *a = malloc(N * sizeof *a);
	uint64_t s = 1234567, sum = 0;
	for (int i = 0; i < N; i++)
		a[i] = rnd(&s);
	quick(a, 0, N - 1);
	for (int i = 0; i < N; i++)
		sum = sum * 31 + a[i];
	free(a);
	return sum;
}

static inline uint32_t ror32(uint32_t x, int n) { return x >> n | x << (32 - n); }

static void sha_block(uint32_t h[8], const uint32_t k[64], const uint32_t m[16])
{
	uint32_t w[64], v[8];
	memcpy(w, m, 64);
	for (int i = 16; i < 64; i++)
		w[i] = w[i - 16] + w[i - 7] + (ror32(w[i - 15], 7) ^ ror32(w[i - 15], 18) ^ w[i - 15] >> 3) +
		       (ror32(w[i - 2], 17) ^ ror32(w[i - 2], 19) ^ w[i - 2] >> 10);
	memcpy(v, h, 32);
	for (int i = 0; i < 64; i++) {
		uint32_t t1 = v[7] + (ror32(v[4], 6) ^ ror32(v[4], 11) ^ ror32(v[4], 25)) + ((v[4] & v[5]) ^ (~v[4] & v[6])) + k[i] + w[i];
		uint32_t t2 = (ror32(v[0], 2) ^ ror32(v[0], 13) ^ ror32(v[0], 22)) + ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));
		memmove(v + 1, v, 28);
		v[4] += t1;
		v[0] = t1 + t2;
	}
	for (int i = 0; i < 8; i++)
		h[i] += v[i];
}

static uint64_t sha256(void)
{
	uint32_t k[64], h[8], m[16];
	uint64_t s = 42;
	for (int i = 0; i < 64; i++)
		k[i] = rnd(&s);
	for (int i = 0; i < 8; i++)
		h[i] = rnd(&s);
	for (int i = 0; i < 16; i++)
		m[i] = rnd(&s);
	for (int i = 0; i < 60000; i++) {
		m[i & 15] ^= h[i & 7];
		sha_block(h, k, m);
	}
	return (uint64_t)h[0] << 32 | h[5];
}

static uint64_t pointers(void)
{
	enum { N = 1 << 20 };
	uint32_t *next = malloc(N * sizeof *next);
	uint64_t s = 99, sum = 0;
	for (uint32_t i = 0; i < N; i++)
		next[i] = i;
	for (uint32_t i = N - 1; i > 0; i--) { /* one cycle through all */
		uint32_t j = rnd(&s) % i, t = next[i];
		next[i] = next[j];
		next[j] = t;
	}
	uint32_t p = 0;
	for (int i = 0; i < 3000000; i++) {
		p = next[p];
		sum += p;
	}
	free(next);
	return sum;
}

static uint64_t hash(void)
{
	enum { BITS = 18, N = 1 << BITS };
	uint64_t *keys = calloc(N, 8), s = 7, found = 0;
	uint32_t *vals = calloc(N, 4);
	for (int i = 0; i < N * 3 / 4; i++) {
		uint64_t k = rnd(&s) % (N * 2) + 1;
		uint32_t at = k * 0x9e3779b97f4a7c15ull >> (64 - BITS);
		while (keys[at] && keys[at] != k)
			at = (at + 1) & (N - 1);
		keys[at] = k;
		vals[at]++;
	}
	for (int i = 0; i < 2000000; i++) {
		uint64_t k = rnd(&s) % (N * 2) + 1;
		uint32_t at = k * 0x9e3779b97f4a7c15ull >> (64 - BITS);
		while (keys[at] && keys[at] != k)
			at = (at + 1) & (N - 1);
		found += keys[at] == k ? vals[at] : 0;
	}
	free(keys);
	free(vals);
	return found;
}

/* A small stack machine with threaded code: one indirect jump an instruction. */
static uint64_t bytecode(void)
{
	enum { PUSH, ADD, MUL, DUP, SWAP, XOR, DEC, JNZ, HALT };
	static const unsigned char prog[] = { PUSH, 7, SWAP, DUP, MUL, PUSH, 3, ADD, SWAP, ADD, DUP, XOR, PUSH, 9, ADD, DEC, JNZ, 0, HALT };
	static void *const labels[] = { &&push, &&add, &&mul, &&dup, &&swap, &&xor, &&dec, &&jnz, &&halt };
	uint64_t stack[64] = { 1, 1 }, *sp = stack + 1, counter = 1500000, sum = 0;
	const unsigned char *pc = prog;
#define NEXT goto *labels[*pc++]
	NEXT;
push:
	*++sp = *pc++;
	NEXT;
add:
	sp--;
	sp[0] += sp[1];
	NEXT;
mul:
	sp--;
	sp[0] *= sp[1];
	NEXT;
dup:
	sp[1] = sp[0] * 5 + 1;
	sp++;
	NEXT;
swap: {
	uint64_t t = sp[0];
	sp[0] = sp[-1];
	sp[-1] = t;
	NEXT;
}
xor:
	sp--;
	sp[0] ^= sp[1];
	NEXT;
dec:
	sum = sum * 33 + sp[0];
	counter--;
	NEXT;
jnz:
	if (sp > stack + 32)
		sp = stack + 2;
	if (sp < stack + 1)
		sp = stack + 1;
	if (counter) {
		pc = prog + *pc;
		NEXT;
	}
	pc++;
	NEXT;
halt:
	return sum;
}

const struct work int_works[] = {
	{ "calls", "int", calls },	 { "sieve", "int", sieve },	  { "crc", "int", crc },
	{ "quicksort", "int", quicksort }, { "sha256", "int", sha256 },	  { "pointers", "int", pointers },
	{ "hash", "int", hash },	 { "bytecode", "int", bytecode }, { 0 },
};
