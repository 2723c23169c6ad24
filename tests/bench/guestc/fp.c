/* Floating-point work. Sums are turned into bits: the result must be exact everywhere. */
#include <stdlib.h>
#include <string.h>
#include <emmintrin.h>
#include "bench.h"

static uint64_t bits(double d)
{
	uint64_t u;
	memcpy(&u, &d, 8);
	return u;
}

static uint64_t matmul(void)
{
	enum { N = 160 };
	static double a[N][N], b[N][N], c[N][N];
	uint64_t s = 5;
	for (int i = 0; i < N; i++)
		for (int j = 0; j < N; j++) {
			a[i][j] = rnd(&s) % 1000 / 7.0;
			b[i][j] = rnd(&s) % 1000 / 9.0;
			c[i][j] = 0;
		}
	for (int round = 0; round < 24; round++)
		for (int i = 0; i < N; i++)
			for (int j = 0; j < N; j++) {
				double t = c[i][j];
				for (int k = 0; k < N; k++)
					t += a[i][k] * b[k][j];
				c[i][j] = t;
			}
	double sum = 0;
	for (int i = 0; i < N; i++)
		for (int j = 0; j < N; j++)
			sum += c[i][j];
	return bits(sum);
}

static uint64_t nbody(void)
{
	enum { N = 5 };
	double x[N][3], v[N][3], m[N];
	uint64_t s = 17;
	for (int i = 0; i < N; i++) {
		m[i] = 1 + rnd(&s) % 100 / 25.0;
		for (int k = 0; k < 3; k++) {
			x[i][k] = rnd(&s) % 2000 / 100.0 - 10;
			v[i][k] = rnd(&s) % 200 / 1000.0 - 0.1;
		}
	}
	for (int step = 0; step < 1000000; step++) {
		for (int i = 0; i < N; i++)
			for (int j = i + 1; j < N; j++) {
				double d[3], r2 = 0.01;
				for (int k = 0; k < 3; k++) {
					d[k] = x[i][k] - x[j][k];
					r2 += d[k] * d[k];
				}
				__m128d r = _mm_sqrt_sd(_mm_set_sd(r2), _mm_set_sd(r2));
				double mag = 0.001 / (r2 * _mm_cvtsd_f64(r));
				for (int k = 0; k < 3; k++) {
					v[i][k] -= d[k] * m[j] * mag;
					v[j][k] += d[k] * m[i] * mag;
				}
			}
		for (int i = 0; i < N; i++)
			for (int k = 0; k < 3; k++)
				x[i][k] += 0.001 * v[i][k];
	}
	return bits(x[0][0] + x[1][1] + x[2][2] + v[3][0]);
}

static uint64_t simd(void)
{
	enum { N = 4096 };
	static float a[N] __attribute__((aligned(16))), b[N] __attribute__((aligned(16)));
	uint64_t s = 23;
	for (int i = 0; i < N; i++) {
		a[i] = rnd(&s) % 1000 / 8.0f;
		b[i] = rnd(&s) % 1000 / 16.0f;
	}
	__m128 acc = _mm_setzero_ps(), half = _mm_set1_ps(0.5f), lim = _mm_set1_ps(1000.0f);
	for (int round = 0; round < 20000; round++)
		for (int i = 0; i < N; i += 4) {
			__m128 x = _mm_load_ps(a + i), y = _mm_load_ps(b + i);
			acc = _mm_min_ps(_mm_add_ps(_mm_mul_ps(acc, half), _mm_mul_ps(x, y)), lim);
			_mm_store_ps(b + i, _mm_sub_ps(_mm_add_ps(y, half), _mm_and_ps(_mm_cmplt_ps(lim, y), y)));
		}
	float out[4];
	_mm_storeu_ps(out, acc);
	return bits(out[0] + out[1] + out[2] + out[3]);
}

static uint64_t x87(void)
{
	long double sum = 0, term = 1;
	for (int i = 1; i < 6000000; i++) {
		term = term * 0.99999L + 1.0L / i;
		sum += term / (1.0L + term * term);
	}
	return bits(sum);
}

const struct work fp_works[] = {
	{ "matmul", "fp", matmul }, { "nbody", "fp", nbody }, { "simd", "fp", simd }, { "x87", "fp", x87 }, { 0 },
};
