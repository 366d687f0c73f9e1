package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/gramme-project/gramme/cmd/internal/evaluation"
)

// evaluate runs the worker's evaluation and keeps its result in the run's folder.
func (u *up) evaluate(ctx context.Context, env []string) (e evaluation.Result, err error) {
	out, err := u.workerOutput(ctx, env, "evaluate", "--run", string(u.dir))
	if err != nil {
		return e, err
	}
	if err := json.Unmarshal(out, &e); err != nil {
		return e, fmt.Errorf("evaluate: %w", err)
	}
	return e, os.WriteFile(u.dir.Evaluation(), out, 0o644)
}
