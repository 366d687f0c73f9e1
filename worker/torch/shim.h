// The C side of package torch. Every function that can fail returns NULL or a
// message that the caller frees; no exception crosses this boundary.
#pragma once
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef void* gramme_tensor;  // at::Tensor*

const char* gramme_version(void);
char* gramme_set_threads(int threads);
int gramme_threads(void);
void gramme_keep_memory(void);
char* gramme_seed(uint64_t seed);
char* gramme_load_cuda(void);
int gramme_set_grad_mode(int on);
char* gramme_leaf(gramme_tensor parameter, gramme_tensor home);
char* gramme_backward(gramme_tensor loss);
char* gramme_copy(gramme_tensor to, gramme_tensor from);
char* gramme_wait(gramme_tensor t);
char* gramme_zero(gramme_tensor t);
char* gramme_from_host(const void* data, const int64_t* shape, int dims, int integer, gramme_tensor* out);
char* gramme_to_host(gramme_tensor from, float* to, int64_t n);

typedef struct {
  int64_t rows, seq, heads;
  double eps, hidden_dropout, attention_dropout;
  int gelu_tanh, bf16, training;
} gramme_shape;

typedef struct {
  double mlm_loss, nsp_loss;
  int64_t mlm_correct, nsp_correct;
} gramme_measures;

// The places of the weights that each block takes. Package torch names them from here,
// so both languages agree. The bias of a product follows its weight.
enum {
  gramme_embed_words,
  gramme_embed_positions,
  gramme_embed_types,
  gramme_embed_norm,
  gramme_embed_norm_bias,
  gramme_embed_weights
};

enum {
  gramme_layer_query,
  gramme_layer_query_bias,
  gramme_layer_key,
  gramme_layer_key_bias,
  gramme_layer_value,
  gramme_layer_value_bias,
  gramme_layer_attention,
  gramme_layer_attention_bias,
  gramme_layer_attention_norm,
  gramme_layer_attention_norm_bias,
  gramme_layer_intermediate,
  gramme_layer_intermediate_bias,
  gramme_layer_output,
  gramme_layer_output_bias,
  gramme_layer_output_norm,
  gramme_layer_output_norm_bias,
  gramme_layer_weights
};

enum {
  gramme_heads_pooler,
  gramme_heads_pooler_bias,
  gramme_heads_transform,
  gramme_heads_transform_bias,
  gramme_heads_transform_norm,
  gramme_heads_transform_norm_bias,
  gramme_heads_decoder,  // the word embeddings
  gramme_heads_decoder_bias,
  gramme_heads_next_sentence,
  gramme_heads_next_sentence_bias,
  gramme_heads_weights
};

char* gramme_mask(gramme_tensor mask, gramme_shape s, gramme_tensor* out);
char* gramme_embed(const gramme_tensor* weights, gramme_tensor ids, gramme_tensor types, int64_t pad, gramme_shape s, gramme_tensor* out);
char* gramme_layer(gramme_tensor x, gramme_tensor mask, const gramme_tensor* weights, gramme_shape s, gramme_tensor* out);
char* gramme_heads(gramme_tensor x, gramme_tensor positions, const gramme_tensor* weights, gramme_shape s, gramme_tensor* mlm, gramme_tensor* nsp);
char* gramme_losses(gramme_tensor mlm, gramme_tensor nsp, gramme_tensor labels, gramme_tensor next, gramme_tensor* loss, gramme_measures* m);

// The encoder on a CPU, computed by hand-written blocks.

typedef void* gramme_cpu;

// Instruction sets that it is written for, each with the ones before.
typedef enum { gramme_cpu_none, gramme_cpu_avx2, gramme_cpu_avx512, gramme_cpu_amx } gramme_cpu_set;

typedef struct {
  int64_t layers, hidden, heads, inner, vocabulary, positions, types, pad;
  double eps, hidden_dropout, attention_dropout;
  int gelu_tanh;
  gramme_cpu_set most;
} gramme_cpu_shape;

typedef struct {
  int64_t rows, seq;
  const int64_t *ids, *types, *mask;
  int64_t masked;
  const int64_t *positions, *labels, *next;
} gramme_cpu_batch;

char* gramme_cpu_encoder(gramme_cpu_shape s, int bf16, float* const* weights, float* const* gradients, gramme_cpu* out);
void gramme_cpu_free(gramme_cpu e);
gramme_cpu_set gramme_cpu_set_of(gramme_cpu e);
char* gramme_cpu_weights_changed(gramme_cpu e);
char* gramme_cpu_compute(gramme_cpu e, gramme_cpu_batch b, uint64_t seed, int training, gramme_measures* out);

// The vectors of a replica as tensors of a device: what package replica does in plain Go.

typedef void* gramme_replica;

// Tensors and units begin at multiples of so many elements.
enum { gramme_row = 16 };

typedef struct {
  int64_t total, tensors;
  const int64_t *offsets, *lengths;  // of each tensor
  int64_t units, lanes;              // of the norm
  const int64_t *unit_begins, *unit_ends;
  int floats;  // words are floats, not integers
} gramme_replica_shape;

typedef struct {
  float beta1, beta2, rest1, rest2, correct1, correct2, epsilon, rate, clip;
} gramme_adamw;

char* gramme_replica_new(gramme_replica_shape s, gramme_tensor weights, gramme_tensor gradient, gramme_replica* out);
void gramme_replica_free(gramme_replica r);
char* gramme_replica_words(gramme_replica r, int64_t n, int32_t** out);
char* gramme_replica_reset(gramme_replica r);
char* gramme_replica_add(gramme_replica r, const float* scales, int32_t limit, float* largest, int64_t* clamped, int* infinite);
char* gramme_replica_read_sum(gramme_replica r, int32_t* to);
char* gramme_replica_load_entry(gramme_replica r, const int32_t* words);
char* gramme_replica_squares(gramme_replica r, double* to);
char* gramme_replica_update(gramme_replica r, gramme_adamw p, const double* quanta, const float* decays);
char* gramme_replica_read(gramme_replica r, float* weights, float* moment1, float* moment2);
char* gramme_replica_write(gramme_replica r, const float* weights, const float* moment1, const float* moment2);

#ifdef __cplusplus
}
#endif
