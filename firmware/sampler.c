/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 LiteNorm contributors */

/* Chooses the next token of a language model (gpt.h), as litenorm.nn.generate specifies it. */

#include "gpt.h"

/* MurmurHash3's 32-bit finalizer (Appleby 2011): small seeds do not begin with small random numbers. */
void gpt_seed(struct gpt *gpt, uint32_t seed)
{
	uint32_t h = seed + 0x9e3779b9u;

	h = (h ^ h >> 16) * 0x85ebca6bu;
	h = (h ^ h >> 13) * 0xc2b2ae35u;
	h ^= h >> 16;
	gpt->random = h != 0 ? h : 1;
}

/* xorshift32 (Marsaglia 2003). */
static uint32_t next_random(struct gpt *gpt)
{
	gpt->random ^= gpt->random << 13;
	gpt->random ^= gpt->random >> 17;
	gpt->random ^= gpt->random << 5;
	return gpt->random;
}

static uint32_t largest(const int16_t *logits, uint32_t count)
{
	uint32_t best = 0, i;

	for (i = 1; i < count; i++)
		if (logits[i] > logits[best])
			best = i;
	return best;
}

/* The top_k largest logits, in descending order, in gpt->candidates. */
static void sort_largest(struct gpt *gpt)
{
	uint32_t top_k = gpt->image->top_k, count = 0, i, j;
	int16_t *best = gpt->candidates;

	for (i = 0; i < gpt->image->vocabulary; i++) {
		int16_t logit = gpt->logits[i];

		if (count == top_k && logit <= best[count - 1])
			continue;
		if (count < top_k)
			count++;
		for (j = count - 1; j > 0 && best[j - 1] < logit; j--)
			best[j] = best[j - 1];
		best[j] = logit;
	}
}

/* The candidates and which tokens they are, in the order of the tokens; of equal logits the first tokens. */
static void choose_candidates(struct gpt *gpt)
{
	uint32_t top_k = gpt->image->top_k, count = 0, equals = 0, i;
	int16_t least;

	sort_largest(gpt);
	least = gpt->candidates[top_k - 1];
	for (i = top_k; i > 0 && gpt->candidates[i - 1] == least; i--)
		equals++;
	for (i = 0; i < gpt->image->vocabulary && count < top_k; i++) {
		int16_t logit = gpt->logits[i];

		if (logit < least || (logit == least && equals == 0))
			continue;
		if (logit == least)
			equals--;
		gpt->candidates[count] = logit;
		gpt->tokens[count++] = (uint16_t)i;
	}
}

static void check_sum(struct gpt *gpt)
{
	uint32_t sum = 0, i;

	for (i = 0; i < gpt->image->top_k; i++)
		sum += gpt->shares[i];
	gpt->report.sampler_rows++;
	gpt->report.sampler_sum_errors += sum != LITENORM_SAMPLER_TOTAL;
}

static int pick_at_random(struct gpt *gpt)
{
	struct litenorm_job job = {
		.src = gpt->candidates,
		.dst = gpt->shares,
		.rows = 1,
		.length = gpt->image->top_k,
		.input = LITENORM_INPUT_S16,
		.format = LITENORM_SAMPLER_FORMAT,
		.scale_multiplier = (uint16_t)gpt->image->sampler_multiplier,
		.scale_shift = (uint8_t)gpt->image->sampler_shift,
	};
	uint32_t draw, sum = 0, i;
	int result;

	choose_candidates(gpt);
	result = gpt->path->softmax(&job);
	if (result != LITENORM_OK)
		return result;
	draw = next_random(gpt) >> LITENORM_SAMPLER_DRAW_SHIFT;
	/* The sum is exact, so that the last candidate ends the search at the latest. */
	for (i = 0; i + 1 < gpt->image->top_k; i++) {
		sum += gpt->shares[i];
		if (draw < sum)
			break;
	}
	return gpt->tokens[i];
}

int gpt_pick(struct gpt *gpt)
{
	int greedy = gpt->image->sampler_multiplier == 0;
	uint32_t started = gpt->cycles();
	int token = greedy ? (int)largest(gpt->logits, gpt->image->vocabulary) : pick_at_random(gpt);

	gpt->report.cycles[GPT_SAMPLER] += (uint32_t)(gpt->cycles() - started);
	if (!greedy && token >= 0)
		check_sum(gpt);
	return token;
}
