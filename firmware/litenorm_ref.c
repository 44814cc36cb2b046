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

static const struct chord {
	uint32_t start;
	uint32_t drop;
} chords[] = {
#define CHORD(start, drop) { start, drop },
	LITENORM_EXP2_X(CHORD)
#undef CHORD
};

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

/*
 * Fills row_words with x + 2^15 and returns the largest. Four at a time: the sign of a difference says that one is larger
 * than all before, which is rare after the first few.
 */
#define DEFINE_LOAD_AND_MAX(name, type)                                                                               \
	static uint32_t name(const type *x, uint32_t n)                                                               \
	{                                                                                                             \
		uint32_t top = 0;                                                                                     \
		uint32_t i, k;                                                                                        \
                                                                                                                      \
		for (i = 0; i + 4 <= n; i += 4) {                                                                     \
			uint32_t a = (uint32_t)(x[i] + LITENORM_X_OFFSET);                                            \
			uint32_t b = (uint32_t)(x[i + 1] + LITENORM_X_OFFSET);                                        \
			uint32_t c = (uint32_t)(x[i + 2] + LITENORM_X_OFFSET);                                        \
			uint32_t d = (uint32_t)(x[i + 3] + LITENORM_X_OFFSET);                                        \
                                                                                                                      \
			row_words[i] = a;                                                                             \
			row_words[i + 1] = b;                                                                         \
			row_words[i + 2] = c;                                                                         \
			row_words[i + 3] = d;                                                                         \
			if (RARE(((top - a) | (top - b) | (top - c) | (top - d)) >> 31)) {                            \
				for (k = i; k < i + 4; k++)                                                           \
					top = row_words[k] > top ? row_words[k] : top;                                \
			}                                                                                             \
		}                                                                                                     \
		for (; i < n; i++) {                                                                                  \
			row_words[i] = (uint32_t)(x[i] + LITENORM_X_OFFSET);                                          \
			top = row_words[i] > top ? row_words[i] : top;                                                \
		}                                                                                                     \
		return top;                                                                                           \
	}

DEFINE_LOAD_AND_MAX(load_and_max_s8, int8_t)
DEFINE_LOAD_AND_MAX(load_and_max_s16, int16_t)

/* d = (t * multiplier) >> right octaves, UQ5.15, for every t = max - x below zero_from; from there on e is 0. */
struct exp2_scale {
	uint32_t multiplier;
	uint32_t right;
	uint32_t zero_from;
};

static struct exp2_scale exp2_scale(uint32_t multiplier, uint32_t shift)
{
	uint32_t left = shift < LITENORM_SCALE_HEADROOM ? LITENORM_SCALE_HEADROOM - shift : 0;
	uint32_t right = shift > LITENORM_SCALE_HEADROOM ? shift - LITENORM_SCALE_HEADROOM : 0;
	uint64_t limit = (uint64_t)(LITENORM_EXP_BITS + 1) << LITENORM_OCTAVE_FRACTION_BITS << right >> left;
	struct exp2_scale scale = { multiplier << left, right, UINT16_MAX + 1u };

	if (limit <= (uint64_t)multiplier * UINT16_MAX)
		scale.zero_from = ((uint32_t)limit + multiplier - 1) / multiplier;
	return scale;
}

/* Turns row_words into e << EXP_ALIGN and returns S, the sum of the e. */
static uint64_t exp2_and_sum(uint32_t n, uint32_t top, const struct exp2_scale *scale)
{
	const uint32_t low_bits = LITENORM_OCTAVE_FRACTION_BITS - LITENORM_SEGMENT_BITS;
	/* The sum of so many e fits 32 bits. */
	const uint32_t block = 1u << (31 - LITENORM_EXP_BITS);
	uint32_t multiplier = scale->multiplier;
	uint32_t right = scale->right;
	uint32_t zero_from = scale->zero_from;
	uint64_t sum = 0;
	uint32_t i = 0;

	while (i < n) {
		uint32_t end = n - i < block ? n : i + block;
		uint32_t partial = 0;

		for (; i < end; i++) {
			uint32_t t = top - row_words[i];
			uint32_t d = t * multiplier >> right;
			const struct chord *chord = &chords[d >> low_bits & ((1u << LITENORM_SEGMENT_BITS) - 1)];
			uint32_t low = d & ((1u << low_bits) - 1);
			uint32_t g = chord->start - (chord->drop * low >> low_bits);
			uint32_t e = g << (LITENORM_EXP_BITS - LITENORM_GRID_BITS) >> (d >> LITENORM_OCTAVE_FRACTION_BITS & 31);

			/* A mask, because a branch would keep the unrolled elements apart. */
			e &= 0u - (t < zero_from);
			partial += e;
			row_words[i] = e << EXP_ALIGN;
		}
		sum += partial;
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
	struct exp2_scale scale;
	int result = check(job, LITENORM_REF_MAX_LENGTH);

	if (result != LITENORM_OK)
		return result;
	if (job->format >= sizeof(formats) / sizeof(formats[0]))
		return LITENORM_ERR_BAD_FORMAT;
	if (job->scale_shift >> LITENORM_SCALE_SHIFT_BITS)
		return LITENORM_ERR_BAD_PARAMETER;
	format = &formats[job->format];
	scale = exp2_scale(job->scale_multiplier, job->scale_shift);
	src_stride = job->src_stride ? job->src_stride : litenorm_packed_stride(job->length, litenorm_input_bytes(job));
	dst_stride = job->dst_stride ? job->dst_stride : litenorm_packed_stride(job->length, format->bits / 8u);

	for (row = 0; row < job->rows; row++) {
		uint32_t n = mask_next(&mask, job);
		uint32_t top = job->input == LITENORM_INPUT_S8 ? load_and_max_s8((const int8_t *)src, n)
		                                               : load_and_max_s16((const int16_t *)(const void *)src, n);
		uint64_t sum = exp2_and_sum(n, top, &scale);

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
 * an ulp and is the only one that can leave s16. A difference of two products fits 29 bits, so that the products
 * themselves are only needed modulo 2^32. `carries` is a constant, and each call its own loop.
 */
static inline int32_t next_running(int32_t running, uint32_t product, uint32_t term, int carries)
{
	int32_t start = carries ? running & (int32_t)FRACTION_MASK : (int32_t)HALF_ULP;

	return start + (int32_t)(product - term);
}

static inline int16_t integer_part(int32_t running, int carries)
{
	int32_t y = running >> LITENORM_FRACTION_BITS;

	return carries ? (int16_t)y : clip_s16(y);
}

static inline void store_deviations(int16_t *restrict y, uint32_t n, uint32_t gain, int32_t k, uint32_t term,
                                    int carries)
{
	int32_t right = k - LITENORM_FRACTION_BITS;
	int32_t running = (int32_t)HALF_ULP;
	uint32_t i;

	if (right <= 0) {
		for (i = 0; i < n; i++) {
			running = next_running(running, row_words[i] * gain << -right, term, carries);
			y[i] = integer_part(running, carries);
		}
	} else {
		for (i = 0; i < n; i++) {
			uint32_t high = multiply_high(row_words[i], gain);
			uint32_t low = row_words[i] * gain;

			running = next_running(running, high << (32 - right) | low >> right, term, carries);
			y[i] = integer_part(running, carries);
		}
	}
}

/*
 * y * gamma + (beta << beta_shift) fits 32 bits for every s16 operand, half added on top does not: the last bit that is
 * shifted out is added behind the shift instead.
 */
struct affine {
	const int16_t *gamma;
	const int16_t *beta;
	int32_t beta_unit;
	int32_t shift;
	int32_t round;
};

static inline int32_t affine_at(const struct affine *affine, uint32_t i)
{
	int32_t value = row_y[i] * affine->gamma[i] + affine->beta[i] * affine->beta_unit;

	return ((value >> affine->shift) + affine->round) >> affine->round;
}

/* Four at a time: together, biased to unsigned, they fit the type when each does, which takes one branch. */
#define DEFINE_STORE_AFFINE(name, type, clip, bias)                                                                   \
	static void name(struct affine affine, type *restrict out, uint32_t n)                                        \
	{                                                                                                             \
		uint32_t i;                                                                                           \
                                                                                                                      \
		for (i = 0; i + 4 <= n; i += 4) {                                                                     \
			int32_t a = affine_at(&affine, i);                                                            \
			int32_t b = affine_at(&affine, i + 1);                                                        \
			int32_t c = affine_at(&affine, i + 2);                                                        \
			int32_t d = affine_at(&affine, i + 3);                                                        \
			uint32_t all = ((uint32_t)a + (bias)) | ((uint32_t)b + (bias)) | ((uint32_t)c + (bias)) |     \
				       ((uint32_t)d + (bias));                                                        \
                                                                                                                      \
			if (RARE(all > 2u * (bias) - 1)) {                                                            \
				a = clip(a);                                                                          \
				b = clip(b);                                                                          \
				c = clip(c);                                                                          \
				d = clip(d);                                                                          \
			}                                                                                             \
			out[i] = (type)a;                                                                             \
			out[i + 1] = (type)b;                                                                         \
			out[i + 2] = (type)c;                                                                         \
			out[i + 3] = (type)d;                                                                         \
		}                                                                                                     \
		for (; i < n; i++)                                                                                    \
			out[i] = clip(affine_at(&affine, i));                                                         \
	}

DEFINE_STORE_AFFINE(store_affine_s8, int8_t, clip_s8, 0x80u)
DEFINE_STORE_AFFINE(store_affine_s16, int16_t, clip_s16, 0x8000u)

static void store_affine(const struct litenorm_job *job, void *out)
{
	int32_t round = job->affine_shift ? 1 : 0;
	struct affine affine = {
		.gamma = job->gamma,
		.beta = job->beta,
		.beta_unit = (int32_t)1 << job->beta_shift,
		.shift = job->affine_shift - round,
		.round = round,
	};

	if (job->output == LITENORM_OUTPUT_S8)
		store_affine_s8(affine, out, job->length);
	else
		store_affine_s16(affine, out, job->length);
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

			if (centred)
				store_deviations(y, n, gain, k, mean_term(gain, k, mean_x), 1);
			else
				store_deviations(y, n, gain, k, mean_term(gain, k, mean_x), 0);
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
