/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 LiteNorm contributors */

/**
 * @file
 * A quantized language model that generates text: its image is struct litenorm_image_gpt, its operations are specified
 * in litenorm.nn.generate.
 *
 * gpt_prepare.c checks the image and lays out the memory, gpt.c runs tokens through the model, sampler.c chooses the
 * next one. Portable, as the transformer block (transformer.h): who computes softmax and LayerNorm is a table.
 */

#ifndef LITENORM_GPT_H
#define LITENORM_GPT_H

#include "transformer.h"

/** Where the cycles go: as in enum block_operation, and */
enum { GPT_SAMPLER = BLOCK_OPERATIONS, GPT_OPERATIONS };

/** What was done so far, and what the check of its rows found; the caller zeroes it. */
struct gpt_report {
	uint64_t cycles[GPT_OPERATIONS];
	uint32_t softmax_rows;
	uint32_t softmax_sum_errors;   /**< rows whose sum of codes is not the format's total */
	uint32_t layernorm_rows;
	uint32_t layernorm_sum_errors; /**< rows whose sum of Q5.10 codes before gamma and beta is not 0 */
	uint32_t sampler_rows;
	uint32_t sampler_sum_errors;   /**< rows of the sampler whose sum is not LITENORM_SAMPLER_TOTAL */
};

/** One layer: its weights in panels, and the keys and values of all tokens so far. */
struct gpt_layer {
	int8_t *weights[6];   /**< panels of q, k, v, o, fc, out */
	int8_t *keys;         /**< s8 [context][D] */
	int8_t *values;       /**< s8 [context][D] */
	int8_t *key_panels;   /**< for each head, panels of [context] keys */
	int8_t *value_panels; /**< for each head, panels of [head_dim] channels over [context] tokens */
};

/** A model that is ready to run. */
struct gpt {
	const struct litenorm_image_gpt *image;
	const struct block_path *path;  /**< who computes softmax and LayerNorm; set before gpt_feed() */
	uint32_t (*cycles)(void);       /**< clock cycles, modulo 2^32; set before gpt_feed() */
	struct gpt_report report;       /**< what gpt_feed() and gpt_pick() add to */
	uint32_t past;                  /**< tokens whose keys and values are there; 0 forgets them */
	uint32_t random;                /**< state of the sampler's random numbers: gpt_seed() */
	int16_t *logits;                /**< s16 [V] behind the last token */

	struct gpt_layer *layers;
	int8_t *head;                   /**< panels */
	uint32_t code_bytes;            /**< of the attention's softmax */
	uint32_t scores_row, probs_row; /**< bytes from row to row */
	uint32_t head_keys, head_values; /**< bytes of the panels of one head */
	int16_t *x, *projected, *residual; /**< s16 [context][D] */
	int8_t *attn_in, *q, *attended, *ffn_in; /**< s8 [context][D] */
	int8_t *hidden, *act;           /**< s8 [context][F] */
	void *scores;                   /**< s8 or s16 [H * context][context] */
	void *probs;                    /**< codes [H * context][context] */
	int8_t *left;                   /**< panels of the left factor of a product */
	uint16_t *codes;                /**< one panel of softmax codes */
	int16_t *candidates;            /**< s16 [top_k], the sampler's logits */
	uint16_t *shares;               /**< u16 [top_k], their probabilities */
	uint16_t *tokens;               /**< u16 [top_k], which they are */
	uint16_t *written;              /**< u16 [tokens of the image], for the caller */
};

/**
 * Check an image, pack its weights, lay out the memory.
 *
 * @param memory  free memory of `bytes` bytes, any alignment; stays in use as long as the model
 * @return        0 or a code of enum block_error; block_strerror() explains it
 */
int gpt_prepare(struct gpt *gpt, const struct litenorm_image_gpt *image, void *memory, size_t bytes);

/**
 * Run `count` more tokens through the model, at positions past to past + count - 1; gpt->logits are then those behind
 * the last one.
 *
 * After each softmax and LayerNorm, outside of the timed part, the sums of its rows are checked; LayerNorm is run once
 * more for it, without gamma and beta.
 *
 * @param tokens  numbers below the vocabulary's size; count is 1 or more, past + count at most the context
 * @return        0, BLOCK_ERR_SHAPE for tokens or a count that do not fit, or the code that gpt->path returned
 */
int gpt_feed(struct gpt *gpt, const uint16_t *tokens, uint32_t count);

/** Start the sampler's random numbers from a seed, any number. */
void gpt_seed(struct gpt *gpt, uint32_t seed);

/**
 * Choose the next token from gpt->logits, as the image says: greedily, or at random among the top_k by their
 * probabilities, whose sum is LITENORM_SAMPLER_TOTAL exactly.
 *
 * @return  the token, or the negative code that gpt->path returned
 */
int gpt_pick(struct gpt *gpt);

/**
 * Token that the text begins with, the longest one.
 *
 * @param length  receives its bytes
 * @return        the token, or -1 when there is none
 */
int gpt_token_of(const struct litenorm_image_gpt *image, const char *text, uint32_t *length);

/** Text of a token: UTF-8 of *length bytes, without a zero at its end. */
const char *gpt_text_of(const struct litenorm_image_gpt *image, uint32_t token, uint32_t *length);

#endif
