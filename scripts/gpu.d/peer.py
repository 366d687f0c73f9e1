"""BERT pretraining by transformers on a GPU, as the peer of scripts/gpu-check.

    peer.py eager|compiled cuda|cpu MODEL PRECISION ROWS MICRO_BATCHES SEQ VOCABULARY SECONDS

BertForPreTraining, bf16 by autocast, gradients summed over the micro-batches of a step,
clipping of the norm, fused AdamW. Prints tokens a second as JSON.
"""

import contextlib
import json
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "bench.d"))

import torch
from transformers import BertConfig, BertForPreTraining

from peer import SIZES, batches

how, device, model_name, precision = sys.argv[1:5]
rows, micro_batches, seq, vocabulary = map(int, sys.argv[5:9])
seconds = float(sys.argv[9])
torch.manual_seed(1)
hidden, layers, heads = SIZES[model_name]
config = BertConfig(vocab_size=vocabulary, hidden_size=hidden, num_hidden_layers=layers, num_attention_heads=heads, intermediate_size=4 * hidden)
model = BertForPreTraining(config).to(device).train()
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.01, fused=True)
names = ("input_ids", "token_type_ids", "attention_mask", "labels", "next_sentence_label")
data = [dict(zip(names, (t.to(device) for t in batch))) for batch in batches(config, rows, seq, round(0.15 * seq), 1)]
call = torch.compile(model) if how == "compiled" else model
cast = torch.autocast(device, torch.bfloat16) if precision == "bf16" else contextlib.nullcontext()


def step(i):
    for k in range(micro_batches):
        with cast:
            loss = call(**data[(i * micro_batches + k) % len(data)]).loss / micro_batches
        loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    if device == "cuda":
        torch.cuda.synchronize()


for i in range(3):
    step(i)
steps, begun = 0, time.perf_counter()
while steps < 3 or time.perf_counter() - begun < seconds:
    step(steps)
    steps += 1
print(json.dumps({"tokens_per_s": rows * micro_batches * seq * steps / (time.perf_counter() - begun), "steps": steps, "torch": torch.__version__}))
