/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 LiteNorm contributors */

#include "baselines.h"
#include "fixed.h"

#include <math.h>

/* Float -------------------------------------------------------------------------------------------------------- */

void baseline_exp_table(uint16_t table[BASELINE_TABLE], float scale)
{
	uint32_t d;

	for (d = 0; d < BASELINE_TABLE; d++)
		table[d] = (uint16_t)(65535.0f * expf(-scale * (float)d) + 0.5f);
}

void baseline_softmax_float(uint8_t *y, const int8_t *x, uint32_t length, float scale)
{
	static float e[BASELINE_MAX_LENGTH];
	int8_t largest = x[0];
	float total = 0.0f;
	uint32_t i;

	for (i = 1; i < length; i++)
		if (x[i] > largest)
			largest = x[i];
	for (i = 0; i < length; i++) {
		e[i] = expf(scale * (float)(x[i] - largest));
		total += e[i];
	}
	for (i = 0; i < length; i++)
		y[i] = (uint8_t)(e[i] / total * 255.0f + 0.5f);
}

void baseline_layernorm_float(int16_t *y, const int8_t *x, uint32_t length)
{
	float sum = 0.0f, squares = 0.0f, mean, gain;
	uint32_t i;

	for (i = 0; i < length; i++)
		sum += (float)x[i];
	mean = sum / (float)length;
	for (i = 0; i < length; i++) {
		float d = (float)x[i] - mean;

		squares += d * d;
	}
	gain = squares > 0.0f ? 1024.0f / sqrtf(squares / (float)length) : 0.0f;
	for (i = 0; i < length; i++)
		y[i] = (int16_t)floorf(((float)x[i] - mean) * gain + 0.5f);
}

void baseline_layernorm_s8_float(int8_t *y, const int8_t *x, const float *gamma, const float *beta, uint32_t length)
{
	float sum = 0.0f, squares = 0.0f, mean, gain;
	uint32_t i;

	for (i = 0; i < length; i++)
		sum += (float)x[i];
	mean = sum / (float)length;
	for (i = 0; i < length; i++) {
		float d = (float)x[i] - mean;

		squares += d * d;
	}
	gain = squares > 0.0f ? 1.0f / sqrtf(squares / (float)length) : 0.0f;
	for (i = 0; i < length; i++) {
		float v = ((float)x[i] - mean) * gain * gamma[i] + beta[i];

		v = v > 127.0f ? 127.0f : v < -128.0f ? -128.0f : v;
		y[i] = (int8_t)floorf(v + 0.5f);
	}
}

/* TFLite and CMSIS-NN ---------------------------------------------------------------------------------------------
 *
 * The fixed-point functions of gemmlowp; formulas and sources are in bench/peers/tflite.py. Qm.n has m integer and n
 * fraction bits beside the sign.
 */

#define DIFF_INTEGER_BITS   5
#define DIFF_FRACTION_BITS  26
#define ACCUMULATION_BITS   12

/* a * b / 2^31 to the nearest. The one product that would not fit, of INT32_MIN with itself, does not come up. */
static inline int32_t multiply_high(int32_t a, int32_t b)
{
	int64_t product = (int64_t)a * b;

	return (int32_t)((product + (product >= 0 ? INT64_C(1) << 30 : 1 - (INT64_C(1) << 30))) / (INT64_C(1) << 31));
}

/* x / 2^bits to the nearest, ties away from zero. */
static inline int32_t rounding_shift(int32_t x, uint32_t bits)
{
	int32_t mask = (int32_t)((UINT32_C(1) << bits) - 1);

	return (x >> bits) + ((x & mask) > (mask >> 1) + (x < 0));
}

static int32_t exp_on_negative_values(int32_t a)
{
	/* e^-(2^-2) .. e^-(2^4), Q0.31 */
	static const int32_t factors[] = {
		1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242,
	};
	const int32_t quarter = 1 << (DIFF_FRACTION_BITS - 2);
	int32_t low = (a & (quarter - 1)) - quarter;
	int32_t x = (int32_t)((uint32_t)low << DIFF_INTEGER_BITS) + (1 << 28);
	int32_t x2 = multiply_high(x, x);
	int32_t x3 = multiply_high(x2, x);
	int32_t x4 = multiply_high(x2, x2);
	int32_t tail = rounding_shift(multiply_high(rounding_shift(x4, 2) + x3, 715827883) + x2, 1);
	int32_t result = 1895147668 + multiply_high(1895147668, x + tail);
	int32_t rest = low - a;
	uint32_t i;

	for (i = 0; i < sizeof(factors) / sizeof(factors[0]); i++)
		if (rest & (1 << (DIFF_FRACTION_BITS - 2 + i)))
			result = multiply_high(result, factors[i]);
	return a == 0 ? INT32_MAX : result;
}

static int32_t one_over_one_plus_x(int32_t a)
{
	int32_t half_denominator = (int32_t)(((int64_t)a + INT32_MAX + 1) >> 1);
	int32_t x = 1515870810 + multiply_high(half_denominator, -1010580540);
	uint32_t step;

	for (step = 0; step < 3; step++)
		x += (int32_t)((uint32_t)multiply_high(x, (1 << 29) - multiply_high(half_denominator, x)) << 2);
	return x >= 1 << 30 ? INT32_MAX : x << 1;
}

void baseline_softmax_cmsis(int8_t *y, const int8_t *x, uint32_t length, int32_t multiplier, int32_t left_shift,
                            int32_t diff_min)
{
	int32_t largest = x[0];
	int32_t total = 0, reciprocal;
	uint32_t headroom, shift, i;

	for (i = 1; i < length; i++)
		if (x[i] > largest)
			largest = x[i];
	for (i = 0; i < length; i++) {
		int32_t d = x[i] - largest;

		if (d >= diff_min)
			total += rounding_shift(exp_on_negative_values(
				multiply_high((int32_t)((uint32_t)d << left_shift), multiplier)), ACCUMULATION_BITS);
	}
	headroom = (uint32_t)__builtin_clz((uint32_t)total);
	reciprocal = one_over_one_plus_x((int32_t)(((uint32_t)total << headroom) - (UINT32_C(1) << 31)));
	shift = ACCUMULATION_BITS - headroom + 31 - 8;
	for (i = 0; i < length; i++) {
		int32_t d = x[i] - largest;
		int32_t out = 0;

		if (d >= diff_min) {
			int32_t e = exp_on_negative_values(
				multiply_high((int32_t)((uint32_t)d << left_shift), multiplier));

			out = rounding_shift(multiply_high(reciprocal, e), shift);
		}
		y[i] = (int8_t)((out > 255 ? 255 : out) - 128);
	}
}

/* Lean integers ------------------------------------------------------------------------------------------------
 *
 * Several elements a turn: loads come in front of their uses, and the loop costs a part.
 */

/* Declares the four elements from p. */
#define FOUR(p, a, b, c, d) int32_t a = (p)[0], b = (p)[1], c = (p)[2], d = (p)[3]

static int32_t row_max(const int8_t *x, uint32_t length)
{
	const int8_t *end = x + (length & ~3u), *stop = x + length;
	int32_t largest = *x;

	for (; x != end; x += 4) {
		FOUR(x, a, b, c, d);

		/* A new maximum is rare: one branch for four. The sign of (largest - x) tells. */
		if (RARE(((largest - a) | (largest - b) | (largest - c) | (largest - d)) < 0)) {
			largest = a > largest ? a : largest;
			largest = b > largest ? b : largest;
			largest = c > largest ? c : largest;
			largest = d > largest ? d : largest;
		}
	}
	for (; x != stop; x++)
		largest = *x > largest ? *x : largest;
	return largest;
}

void baseline_softmax_lean(uint8_t *y, const int8_t *x, uint32_t length, const uint16_t table[BASELINE_TABLE])
{
	const uint16_t *e = table + row_max(x, length);
	const int8_t *p = x, *end = x + (length & ~3u), *stop = x + length;
	uint32_t total = 0, reciprocal, shift, half, bits;

	for (; p != end; p += 4) {
		FOUR(p, a, b, c, d);
		uint32_t q = e[-a], r = e[-b], s = e[-c], t = e[-d];

		total += q + r + s + t;
	}
	for (; p != stop; p++)
		total += e[-(int32_t)*p];
	/* total, of 16 to 26 bits, normalized to 17: the reciprocal then has 14, and its product with an e fits. */
	bits = 32 - (uint32_t)__builtin_clz(total);
	reciprocal = (UINT32_C(255) << 22) / (bits > 17 ? total >> (bits - 17) : total << (17 - bits));
	shift = bits + 5;
	half = UINT32_C(1) << (shift - 1);
	/* Four at a time in three steps, so that no result is used at once. */
	for (p = x; p != end; p += 4, y += 4) {
		FOUR(p, a, b, c, d);
		uint32_t q = e[-a], r = e[-b], s = e[-c], t = e[-d];

		q *= reciprocal;
		r *= reciprocal;
		s *= reciprocal;
		t *= reciprocal;
		q += half;
		r += half;
		s += half;
		t += half;
		y[0] = (uint8_t)(q >> shift);
		y[1] = (uint8_t)(r >> shift);
		y[2] = (uint8_t)(s >> shift);
		y[3] = (uint8_t)(t >> shift);
	}
	for (; p != stop; p++)
		*y++ = (uint8_t)((e[-(int32_t)*p] * reciprocal + half) >> shift);
}

static uint32_t square_root(uint32_t v)
{
	uint32_t root = 0, bit = UINT32_C(1) << 30;

	for (; bit; bit >>= 2) {
		if (v >= root + bit) {
			v -= root + bit;
			root = (root >> 1) + bit;
		} else {
			root >>= 1;
		}
	}
	return root;
}

/* A row's sum, and 2^10 / sigma = gain / 2^shift, a gain of 16 or 17 bits; 0 when all elements are equal. */
static int32_t row_gain(const int8_t *x, uint32_t length, int32_t *row_sum, int32_t *gain_shift)
{
	const int8_t *end = x + (length & ~3u), *stop = x + length;
	int32_t sum = 0, shift = 0;
	uint32_t squares = 0;
	uint64_t variance;

	for (; x != end; x += 4) {
		FOUR(x, a, b, c, d);

		sum += a + b + c + d;
		squares += (uint32_t)(a * a + b * b) + (uint32_t)(c * c + d * d);
	}
	for (; x != stop; x++) {
		sum += *x;
		squares += (uint32_t)(*x * *x);
	}
	*row_sum = sum;
	variance = (uint64_t)length * squares - (uint64_t)((int64_t)sum * sum);
	if (variance == 0)
		return 0;
	/* N * sigma = sqrt(variance * 4^-shift) * 2^shift; the root has 16 bits. */
	for (; variance >> 32; variance >>= 2)
		shift++;
	for (; variance >> 30 == 0; variance <<= 2)
		shift--;
	/* N, normalized to 32 bits, by the root. */
	*gain_shift = shift + __builtin_clz(length) - 10;
	return (int32_t)((length << __builtin_clz(length)) / square_root((uint32_t)variance));
}

void baseline_layernorm_lean(int16_t *y, const int8_t *x, uint32_t length)
{
	int32_t sum, shift, mean, offset;
	int32_t gain = row_gain(x, length, &sum, &shift);
	uint32_t i;

	if (gain == 0) {
		for (i = 0; i < length; i++)
			y[i] = 0;
		return;
	}
	mean = (sum * 16) / (int32_t)length;                     /* Q.4 */
	offset = ((mean * gain) >> 4) - (1 << (shift - 1));      /* less the half that rounds */
	for (i = 0; i + 4 <= length; i += 4) {
		int32_t a = x[i], b = x[i + 1], c = x[i + 2], d = x[i + 3];

		a *= gain;
		b *= gain;
		c *= gain;
		d *= gain;
		y[i] = (int16_t)((a - offset) >> shift);
		y[i + 1] = (int16_t)((b - offset) >> shift);
		y[i + 2] = (int16_t)((c - offset) >> shift);
		y[i + 3] = (int16_t)((d - offset) >> shift);
	}
	for (; i < length; i++)
		y[i] = (int16_t)((x[i] * gain - offset) >> shift);
}

/* The upper 32 bits of a product. */
static inline int32_t multiply_upper(uint32_t a, int16_t b)
{
	return (int32_t)(((int64_t)(int32_t)a * b) >> 32);
}

/* Nearest u8. */
static inline uint32_t clip_u8(int32_t value)
{
	return value < 0 ? 0 : value > 255 ? 255 : (uint32_t)value;
}

void baseline_layernorm_s8_lean(int8_t *y, const int8_t *x, const int16_t *weights, uint32_t shift, uint32_t length)
{
	const int8_t *end = x + (length & ~3u), *stop = x + length;
	int32_t sum, gain_shift = 0, mean;
	/* (x - mean) / sigma = x * gain - offset: below 2^BASELINE_NORM_BITS * 32, so it is right modulo 2^32. */
	uint32_t gain = (uint32_t)row_gain(x, length, &sum, &gain_shift), offset;

	gain <<= BASELINE_NORM_BITS - 10 - gain_shift;
	mean = (int32_t)((uint32_t)sum << 13) / (int32_t)length;        /* Q.13 */
	offset = (uint32_t)(((int64_t)mean * gain) >> 13);
	for (; x != end; x += 4, weights += 8, y += 4) {
		FOUR(x, a, b, c, d);
		uint32_t word;

		a = multiply_upper((uint32_t)a * gain - offset, weights[0]);
		b = multiply_upper((uint32_t)b * gain - offset, weights[2]);
		c = multiply_upper((uint32_t)c * gain - offset, weights[4]);
		d = multiply_upper((uint32_t)d * gain - offset, weights[6]);
		a = (a + weights[1]) >> shift;
		b = (b + weights[3]) >> shift;
		c = (c + weights[5]) >> shift;
		d = (d + weights[7]) >> shift;
		if (RARE((uint32_t)(a | b | c | d) > 255)) {
			a = (int32_t)clip_u8(a);
			b = (int32_t)clip_u8(b);
			c = (int32_t)clip_u8(c);
			d = (int32_t)clip_u8(d);
		}
		/* One store: each is a write on the bus. */
		word = ((uint32_t)a | (uint32_t)b << 8 | (uint32_t)c << 16 | (uint32_t)d << 24) ^ 0x80808080u;
		__builtin_memcpy(__builtin_assume_aligned(y, 4), &word, 4);
	}
	for (; x != stop; x++, weights += 2) {
		int32_t v = (multiply_upper((uint32_t)*x * gain - offset, weights[0]) + weights[1]) >> shift;

		*y++ = (int8_t)((int32_t)clip_u8(v) - 128);
	}
}
