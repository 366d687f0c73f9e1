"""The recipes of the peers in the loss benchmark, and how rate and batch go with the budget.

Each is a way in which BERT is pretrained with PyTorch, at our model's size. `t` is the
part of the budget that is used up, from 0 to 1: rates fall to 0 at its end whatever the
machine's speed, so no peer loses by a schedule that does not fit its budget.
"""

# What a script gets that trains BertForPreTraining with the defaults of Trainer
# (transformers.TrainingArguments) and of DataCollatorForLanguageModeling.
HF = {
    "precision": "f32", "lr": 5e-5, "schedule": "linear", "warmup": 0.0, "rows": (8, 8), "ramp": 0.0, "dropout": 0.1,
    "betas": (0.9, 0.999), "eps": 1e-8, "decay": 0.0, "clip": 1.0, "mask": 0.15, "nsp": True, "tuned": False,
}

RECIPES = {
    "hf": HF,
    "hf-bf16": {**HF, "precision": "bf16"},
    # The same model and losses, with the step of peer.py's "tuned", the settings that are
    # usual for small models, and those of TUNED by trying.
    "hf-tuned": {
        **HF, "precision": "bf16", "lr": 2e-3, "warmup": 0.1, "rows": (16, 16), "dropout": 0.0,
        "betas": (0.9, 0.98), "eps": 1e-6, "decay": 0.01, "tuned": True,
    },
    # arXiv 2212.14034 as its code has it (bert-o4: budget-triangle2, AdamW, clipping at
    # 0.5, 25% of the tokens, no dropout, no pairs), on the classic architecture. The batch
    # grows over 60% of the budget as there; its 8,192 sequences are for a budget of
    # billions of tokens, so the last size is by trying, too.
    "cramming": {
        **HF, "precision": "bf16", "lr": 1e-3, "schedule": "triangle", "rows": (8, 32), "ramp": 0.6, "dropout": 0.0,
        "betas": (0.9, 0.98), "eps": 1e-12, "decay": 0.01, "clip": 0.5, "mask": 0.25, "nsp": False, "tuned": True,
    },
}

# The settings that are tried, one key after the other, each with the best of those before.
TUNED = {
    "hf-tuned": {"rows": [(8, 8), (16, 16), (32, 32)], "lr": [1e-3, 2e-3, 4e-3], "dropout": [0.0, 0.1]},
    "cramming": {"rows": [(8, 16), (8, 32), (8, 64)]},
}


def tune(recipe, measure):
    """Tries the settings of TUNED; measure(change) gives a loss. Returns (the best change, [(change, loss)])."""
    best, tried = {}, []
    for key, values in TUNED.get(recipe, {}).items():
        found = []
        for value in values:
            change = {**best, key: value}
            loss = next((l for c, l in tried if {**RECIPES[recipe], **c} == {**RECIPES[recipe], **change}), None)
            if loss is None:
                loss = measure(change)
                tried.append((change, loss))
            found.append((loss, value))
        best = {**best, key: min(found, key=lambda f: f[0])[1]}
    return best, tried


def rate(recipe, t):
    """The learning rate at t."""
    t = min(max(t, 0.0), 1.0)
    if recipe["schedule"] == "triangle":  # from a quarter up to all at 3/4, then down to 0
        return recipe["lr"] * min(0.25 + t, (1 - t) / 0.25)
    if t < recipe["warmup"]:
        return recipe["lr"] * t / recipe["warmup"]
    return recipe["lr"] * (1 - t) / (1 - recipe["warmup"])


def rows(recipe, t):
    """The sequences of a step at t: the last size from recipe["ramp"] on, in multiples of the first."""
    first, last = recipe["rows"]
    if t >= recipe["ramp"]:
        return last
    return min(int(t / recipe["ramp"] * last // first + 1) * first, last)
