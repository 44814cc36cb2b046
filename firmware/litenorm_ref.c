/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 LiteNorm contributors */

/*
 * The steps have the names that they have in litenorm/accel/model.py, where the mathematics is explained; the comments
 * here say what is different: how 32-bit registers hold it, and what costs time on a small in-order CPU.
 */

#if defined(__GNUC__) && defined(__riscv)
/* Unrolled, the loops hide that products and loads take three cycles, shifts two. */
#pragma GCC optimize("O3", "unroll-loops")
#endif

#include "litenorm_ref.h"

#include <string.h>

#include "fixed.h"

#define FRACTION_MASK ((1u << LITENORM_FRACTION_BITS) - 1)
#define HALF_ULP      (1u << (LITENORM_FRACTION_BITS - 1))

/* e is kept shifted up, so that one multiply-high does the multiplication and the shift by k - FB. */
#define EXP_ALIGN  (31 - LITENORM_EXP_BITS)
#define EXP_OF_MAX (1u << 31)

static const uint32_t exp2_grid[] = LITENORM_EXP2_GRID;
static const uint16_t exp2_drop[] = LITENORM_EXP2_DROP;

/* One row: x + 2^15 or e, and y before gamma and beta. */
static uint32_t row_words[LITENORM_REF_MAX_LENGTH];
static int16_t row_y[LITENORM_REF_MAX_LENGTH];

/* Rows of a job -----------------------------------------------------------------------------------------------*/

/* Valid length of one row after the other, without a division. */
struct mask {
	uint32_t valid;
	uint32_t position;
};

static struct mask mask_begin(const struct litenorm_job *job)
{
	struct mask mask = { job->mask_base ? job->mask_base : job->length, 0 };

	return mask;
}

static uint32_t mask_next(struct mask *mask, const struct litenorm_job *job)
{
	uint32_t valid = mask->valid < job->length ? mask->valid : job->length;

	if (job->mask_base) {
		mask->valid = valid + job->mask_increment;
		if (++mask->position == job->mask_period) {
			mask->valid = job->mask_base;
			mask->position = 0;
		}
	}
	return valid;
}

static int check(const struct litenorm_job *job, uint32_t max_length)
{
	if (job->input != LITENORM_INPUT_S8 && job->input != LITENORM_INPUT_S16)
		return LITENORM_ERR_BAD_OP;
	if (job->length == 0 || job->length > max_length)
		return LITENORM_ERR_BAD_LENGTH;
	if (job->rows == 0)
		return LITENORM_ERR_BAD_ROWS;
	return LITENORM_OK;
}

/* Arithmetic --------------------------------------------------------------------------------------------------*/

static inline uint32_t multiply_high(uint32_t a, uint32_t b)
{
	return (uint32_t)(((uint64_t)a * b) >> 32);
}

static uint32_t bit_length(uint64_t value)
{
	uint32_t word = (uint32_t)value;
	uint32_t bits = 0;
	uint32_t step;

	if (value >> 32) {
		word = (uint32_t)(value >> 32);
		bits = 32;
	}
	for (step = 16; step; step >>= 1) {
		if (word >> step) {
			word >>= step;
			bits += step;
		}
	}
	return bits + word;
}

/*
 * floor(n / d) for a d of `bits` bits, 16 or more, and a quotient below 2^19: two 32-bit divisions by the leading bits of
 * d, rounded up, each fall a little short; what is left is subtracted. A 64-bit division takes 700 cycles on VexRiscv.
 */
static uint32_t divide(uint64_t n, uint64_t d, uint32_t bits)
{
	uint32_t shift = bits - 16;
	uint32_t leading = (uint32_t)(d >> shift) + 1;
	uint32_t quotient = (uint32_t)(n >> (shift + 4)) / leading << 4;
	uint32_t more;

	n -= d * quotient;
	more = (uint32_t)(n >> shift) / leading;
	n -= d * more;
	quotient += more;
	while (n >= d) {
		n -= d;
		quotient++;
	}
	return quotient;
}

/* floor(sqrt(v)), v below 2^36: digit recurrence, two bits of v and one of the root a step. */
static uint32_t square_root(uint64_t v)
{
	uint32_t head = (uint32_t)(v >> (2 * LITENORM_ROOT_BITS - 32));
	uint32_t tail = (uint32_t)(v << (64 - 2 * LITENORM_ROOT_BITS));
	uint32_t root = 0;
	uint32_t remainder = 0;
	int step;

	for (step = 0; step < LITENORM_ROOT_BITS; step++) {
		remainder = remainder << 2 | head >> 30;
		head = head << 2 | tail >> 30;
		tail <<= 2;
		root <<= 1;
		if (remainder >= 2 * root + 1) {
			remainder -= 2 * root + 1;
			root++;
		}
	}
	return root;
}

/* Softmax -----------------------------------------------------------------------------------------------------*/

struct format {
	uint8_t bits;
	uint8_t capped;
	int32_t zero_point;
	uint32_t total;
};

static const struct format formats[] = {
#define FORMAT_ROW(name, code, bits, zero_point, total, capped, text) { bits, capped, zero_point, total },
	LITENORM_FORMATS_X(FORMAT_ROW)
#undef FORMAT_ROW
};

/* Fills row_words with x + 2^15 and returns the largest. */
static uint32_t load_and_max(const void *x, unsigned input, uint32_t n)
{
	uint32_t top = 0;
	uint32_t i;

	if (input == LITENORM_INPUT_S8) {
		const int8_t *x8 = x;

		for (i = 0; i < n; i++) {
			uint32_t value = (uint32_t)(x8[i] + LITENORM_X_OFFSET);

			row_words[i] = value;
			if (RARE(value > top))
				top = value;
		}
	} else {
		const int16_t *x16 = x;

		for (i = 0; i < n; i++) {
			uint32_t value = (uint32_t)(x16[i] + LITENORM_X_OFFSET);

			row_words[i] = value;
			if (RARE(value > top))
				top = value;
		}
	}
	return top;
}

/* Turns row_words into e << EXP_ALIGN and returns S, the sum of the e. */
static uint64_t exp2_and_sum(uint32_t n, uint32_t top, uint32_t multiplier, uint32_t shift)
{
	/* From so many octaves on, e is 0 and d may overflow; selected by a mask, because a branch would end the unrolling. */
	const uint32_t octaves = LITENORM_EXP_BITS + 1;
	const uint32_t low_bits = LITENORM_OCTAVE_FRACTION_BITS - LITENORM_SEGMENT_BITS;
	uint32_t left = shift < LITENORM_SCALE_HEADROOM ? LITENORM_SCALE_HEADROOM - shift : 0;
	uint32_t right = shift > LITENORM_SCALE_HEADROOM ? shift - LITENORM_SCALE_HEADROOM : 0;
	uint64_t limit = (uint64_t)(octaves << LITENORM_OCTAVE_FRACTION_BITS) << right >> left;
	uint32_t zero_from = limit < UINT32_MAX ? (uint32_t)limit : UINT32_MAX;
	uint64_t sum = 0;
	uint32_t i;

	for (i = 0; i < n; i++) {
		uint32_t product = (top - row_words[i]) * multiplier;
		uint32_t d = product << left >> right;
		uint32_t segment = d >> low_bits & ((1u << LITENORM_SEGMENT_BITS) - 1);
		uint32_t low = d & ((1u << low_bits) - 1);
		uint32_t g = exp2_grid[segment] - (exp2_drop[segment] * low >> low_bits);
		uint32_t e = g << (LITENORM_EXP_BITS - LITENORM_GRID_BITS) >> (d >> LITENORM_OCTAVE_FRACTION_BITS & 31);

		e &= 0u - (product < zero_from);
		sum += e;
		row_words[i] = e << EXP_ALIGN;
	}
	return sum;
}

static inline void store_share(void *out, const struct format *format, uint32_t i, uint32_t share)
{
	uint32_t code = share + (uint32_t)format->zero_point;

	if (format->bits == 8)
		((uint8_t *)out)[i] = (uint8_t)code;
	else
		((uint16_t *)out)[i] = (uint16_t)code;
}

static inline int share_is_zero(const void *out, const struct format *format, uint32_t i)
{
	if (format->bits == 8)
		return ((const uint8_t *)out)[i] == (uint8_t)format->zero_point;
	return ((const uint16_t *)out)[i] == (uint16_t)format->zero_point;
}

static void store_zero_points(void *out, const struct format *format, uint32_t from, uint32_t to)
{
	uint32_t i;

	if (format->bits == 8) {
		memset((uint8_t *)out + from, (uint8_t)format->zero_point, to - from);
		return;
	}
	for (i = from; i < to; i++)
		((uint16_t *)out)[i] = (uint16_t)format->zero_point;
}

static void store_shares(void *out, const struct format *format, uint32_t n, uint64_t sum)
{
	/* T * e / S = (e * R) >> (k - FB) = multiply_high(e << EXP_ALIGN, R << ...), in units of 2^-FB ulp */
	uint32_t bits = bit_length(sum);
	uint32_t k = bits + 1;
	uint32_t reciprocal = divide(((uint64_t)format->total << k) + (sum >> 1), sum, bits);
	const uint32_t largest = (1u << LITENORM_RECIPROCAL_BITS) - 1;
	uint32_t gain = (reciprocal < largest ? reciprocal : largest) << (32 - EXP_ALIGN - k + LITENORM_FRACTION_BITS);
	uint32_t zero_point = (uint32_t)format->zero_point;
	uint32_t carried = HALF_ULP;
	uint32_t i;

	if (format->bits == 8) {
		uint8_t *out8 = out;

		for (i = 0; i < n; i++) {
			carried += multiply_high(row_words[i], gain);
			out8[i] = (uint8_t)((carried >> LITENORM_FRACTION_BITS) + zero_point);
			carried &= FRACTION_MASK;
		}
	} else {
		uint16_t *out16 = out;

		for (i = 0; i < n; i++) {
			carried += multiply_high(row_words[i], gain);
			out16[i] = (uint16_t)((carried >> LITENORM_FRACTION_BITS) + zero_point);
			carried &= FRACTION_MASK;
		}
	}
}

/* A capped format has no code for T: a maximum that would take all of T leaves 1 to another element. */
static void store_capped(void *out, const struct format *format, uint32_t n, uint64_t sum)
{
	uint64_t others = sum - (1u << LITENORM_EXP_BITS);
	uint32_t peak = 0;

	if (row_words[n - 1] == EXP_OF_MAX && others * 4 * format->total < 3 * sum) {
		store_zero_points(out, format, 0, n);
		store_share(out, format, 0, 1);
		store_share(out, format, n - 1, format->total - 1);
		return;
	}
	store_shares(out, format, n, sum);
	if (others * 2 * format->total >= 3 * sum)
		return;
	/* Only in such a row can the maximum, then unique, have a share of T: it wrapped to the code of 0. */
	while (row_words[peak] != EXP_OF_MAX)
		peak++;
	if (share_is_zero(out, format, peak)) {
		store_share(out, format, peak, format->total - 1);
		store_share(out, format, peak + 1, 1);
	}
}

int litenorm_ref_softmax(const struct litenorm_job *job)
{
	struct mask mask = mask_begin(job);
	const uint8_t *src = job->src;
	uint8_t *dst = job->dst;
	uint32_t src_stride, dst_stride, row;
	const struct format *format;
	int result = check(job, LITENORM_REF_MAX_LENGTH);

	if (result != LITENORM_OK)
		return result;
	if (job->format >= sizeof(formats) / sizeof(formats[0]))
		return LITENORM_ERR_BAD_FORMAT;
	if (job->scale_shift >> LITENORM_SCALE_SHIFT_BITS)
		return LITENORM_ERR_BAD_PARAMETER;
	format = &formats[job->format];
	src_stride = job->src_stride ? job->src_stride : litenorm_packed_stride(job->length, litenorm_input_bytes(job));
	dst_stride = job->dst_stride ? job->dst_stride : litenorm_packed_stride(job->length, format->bits / 8u);

	for (row = 0; row < job->rows; row++) {
		uint32_t n = mask_next(&mask, job);
		uint32_t top = load_and_max(src, job->input, n);
		uint64_t sum = exp2_and_sum(n, top, job->scale_multiplier, job->scale_shift);

		if (format->capped)
			store_capped(dst, format, n, sum);
		else
			store_shares(dst, format, n, sum);
		store_zero_points(dst, format, n, job->length);
		src += src_stride;
		dst += dst_stride;
	}
	return LITENORM_OK;
}

/* LayerNorm and RMSNorm ---------------------------------------------------------------------------------------*/

struct moments {
	int32_t sum;
	uint64_t squares;
};

/* Fills row_words with x + 2^15. */
static struct moments load_and_moments(const void *x, unsigned input, uint32_t n)
{
	struct moments moments = { 0, 0 };
	uint32_t i;

	if (input == LITENORM_INPUT_S8) {
		const int8_t *x8 = x;
		uint32_t squares = 0;

		for (i = 0; i < n; i++) {
			int32_t value = x8[i];

			row_words[i] = (uint32_t)(value + LITENORM_X_OFFSET);
			moments.sum += value;
			squares += (uint32_t)(value * value);
		}
		moments.squares = squares;
	} else {
		const int16_t *x16 = x;

		for (i = 0; i < n; i++) {
			int32_t value = x16[i];

			row_words[i] = (uint32_t)(value + LITENORM_X_OFFSET);
			moments.sum += value;
			moments.squares += (uint32_t)(value * value);
		}
	}
	return moments;
}

/* A * 2^-k = n * 2^10 / sqrt(V), V > 0. Returns A, 16 to 18 bits. */
static uint32_t inverse_sigma(uint64_t v, uint32_t n, int32_t *k)
{
	int32_t n_bits = (int32_t)bit_length(n);
	int32_t h = (2 * LITENORM_ROOT_BITS - (int32_t)bit_length(v)) >> 1;
	uint32_t root = square_root(h >= 0 ? v << 2 * h : v >> -2 * h);
	uint64_t numerator = (uint64_t)n << (LITENORM_NORM_LENGTH_BITS - n_bits + LITENORM_GAIN_SHIFT);

	*k = LITENORM_GAIN_SHIFT + LITENORM_NORM_LENGTH_BITS - LITENORM_NORM_FRACTION_BITS - n_bits - h;
	return divide(numerator + (root >> 1), root, LITENORM_ROOT_BITS);
}

/* mean(x) + 2^15 as UQ16.32, by three 32-bit divisions; `sum` is that of x + 2^15. */
static uint64_t mean(uint32_t sum, uint32_t n)
{
	uint32_t whole = sum / n;
	uint32_t rest = (sum - whole * n) << 16;
	uint32_t high = rest / n;
	uint32_t low = ((rest - high * n) << 16) / n;

	return (uint64_t)whole << LITENORM_MEAN_FRACTION_BITS | high << 16 | low;
}

/* B = (A * mean + half) >> (32 + k - FB), modulo 2^32. */
static uint32_t mean_term(uint32_t gain, int32_t k, uint64_t mean_x)
{
	int32_t right = LITENORM_MEAN_FRACTION_BITS + k - LITENORM_FRACTION_BITS;
	uint64_t whole = (mean_x >> LITENORM_MEAN_FRACTION_BITS) * gain;
	uint64_t fraction = (uint64_t)(uint32_t)mean_x * gain + ((uint64_t)1 << (right - 1));

	if (right <= LITENORM_MEAN_FRACTION_BITS)
		return (uint32_t)((whole << (LITENORM_MEAN_FRACTION_BITS - right)) + (fraction >> right));
	return (uint32_t)((whole + (fraction >> LITENORM_MEAN_FRACTION_BITS)) >> (right - LITENORM_MEAN_FRACTION_BITS));
}

/*
 * y_i from x_i + 2^15 in row_words. LayerNorm carries the fraction from element to element, RMSNorm starts each with half
 * an ulp. A difference of two products fits 29 bits, so that the products themselves are only needed modulo 2^32.
 */
static void store_deviations(int16_t *y, uint32_t n, uint32_t gain, int32_t k, uint32_t term, int carries)
{
	int32_t right = k - LITENORM_FRACTION_BITS;
	int32_t kept = carries ? (int32_t)FRACTION_MASK : 0;
	int32_t added = carries ? 0 : (int32_t)HALF_ULP;
	int32_t running = (int32_t)HALF_ULP;
	uint32_t i;

	if (right <= 0) {
		for (i = 0; i < n; i++) {
			uint32_t product = (row_words[i] * gain) << -right;

			running = ((running & kept) | added) + (int32_t)(product - term);
			y[i] = clip_s16(running >> LITENORM_FRACTION_BITS);
		}
	} else {
		for (i = 0; i < n; i++) {
			uint64_t product = (uint64_t)row_words[i] * gain;
			uint32_t high = (uint32_t)(product >> 32);
			uint32_t shifted = high << (32 - right) | (uint32_t)product >> right;

			running = ((running & kept) | added) + (int32_t)(shifted - term);
			y[i] = clip_s16(running >> LITENORM_FRACTION_BITS);
		}
	}
}

/*
 * y * gamma + (beta << beta_shift) fits 32 bits for every s16 operand, half added on top does not: the last bit that is
 * shifted out is added behind the shift instead.
 */
static void store_affine(const struct litenorm_job *job, void *out)
{
	int32_t round = job->affine_shift ? 1 : 0;
	int32_t shift = job->affine_shift - round;
	int32_t beta_unit = (int32_t)1 << job->beta_shift;
	uint32_t i;
	const int16_t *gamma = job->gamma;
	const int16_t *beta = job->beta;
	uint32_t n = job->length;

	if (job->output == LITENORM_OUTPUT_S8) {
		int8_t *restrict out8 = out;

		for (i = 0; i < n; i++) {
			int32_t value = row_y[i] * gamma[i] + beta[i] * beta_unit;

			out8[i] = clip_s8(((value >> shift) + round) >> round);
		}
	} else {
		int16_t *restrict out16 = out;

		for (i = 0; i < n; i++) {
			int32_t value = row_y[i] * gamma[i] + beta[i] * beta_unit;

			out16[i] = clip_s16(((value >> shift) + round) >> round);
		}
	}
}

static int check_norm(const struct litenorm_job *job)
{
	uint32_t max_length = LITENORM_REF_MAX_LENGTH;
	int result = check(job, max_length < LITENORM_NORM_MAX_LENGTH ? max_length : LITENORM_NORM_MAX_LENGTH);

	if (result != LITENORM_OK)
		return result;
	if (job->eps >> LITENORM_EPS_BITS)
		return LITENORM_ERR_BAD_PARAMETER;
	if (job->gamma != NULL && (job->beta == NULL || job->affine_shift >> LITENORM_AFFINE_SHIFT_BITS ||
	                           job->beta_shift >> LITENORM_BETA_SHIFT_BITS || job->output > LITENORM_OUTPUT_S16))
		return LITENORM_ERR_BAD_PARAMETER;
	return LITENORM_OK;
}

static int norm(const struct litenorm_job *job, unsigned op)
{
	struct mask mask = mask_begin(job);
	int centred = op == LITENORM_OP_LAYERNORM;
	const uint8_t *src = job->src;
	uint8_t *dst = job->dst;
	uint32_t src_stride, dst_stride, row;
	int result = check_norm(job);

	if (result != LITENORM_OK)
		return result;
	src_stride = job->src_stride ? job->src_stride : litenorm_packed_stride(job->length, litenorm_input_bytes(job));
	dst_stride = job->dst_stride ? job->dst_stride :
		litenorm_packed_stride(job->length, litenorm_output_bytes(job, op));

	for (row = 0; row < job->rows; row++) {
		uint32_t n = mask_next(&mask, job);
		struct moments moments = load_and_moments(src, job->input, n);
		uint64_t v = n * moments.squares;
		uint64_t mean_x = (uint64_t)LITENORM_X_OFFSET << LITENORM_MEAN_FRACTION_BITS;
		int16_t *y = job->gamma != NULL ? row_y : (int16_t *)dst;

		if (centred) {
			v -= (uint64_t)((int64_t)moments.sum * moments.sum);
			mean_x = mean((uint32_t)moments.sum + n * LITENORM_X_OFFSET, n);
		}
		if (v == 0) {
			memset(y, 0, job->length * sizeof(*y));
		} else {
			int32_t k;
			uint32_t gain = inverse_sigma(v + job->eps, n, &k);

			store_deviations(y, n, gain, k, mean_term(gain, k, mean_x), centred);
			memset(y + n, 0, (job->length - n) * sizeof(*y));
		}
		if (job->gamma != NULL)
			store_affine(job, dst);
		src += src_stride;
		dst += dst_stride;
	}
	return LITENORM_OK;
}

int litenorm_ref_layernorm(const struct litenorm_job *job)
{
	return norm(job, LITENORM_OP_LAYERNORM);
}

int litenorm_ref_rmsnorm(const struct litenorm_job *job)
{
	return norm(job, LITENORM_OP_RMSNORM);
}
