package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
)

// measures are what the worker's evaluation prints for one state of the model:
// means over the validation split.
type measures struct {
	MLMLoss     float64 `json:"mlm_loss"`
	MLMAccuracy float64 `json:"mlm_accuracy"`
	NSPLoss     float64 `json:"nsp_loss"`
	NSPAccuracy float64 `json:"nsp_accuracy"`
	Predictions int     `json:"predictions"`
	Pairs       int     `json:"pairs"`
}

// evaluation compares the model at its start with the newest checkpoint.
type evaluation struct {
	Step   uint64   `json:"step"`
	Start  measures `json:"start"`
	Newest measures `json:"newest"`
}

// evaluate runs the worker's evaluation and keeps its result in the run's folder.
func (u *up) evaluate(ctx context.Context, env []string) (evaluation, error) {
	out, err := u.workerOutput(ctx, env, "evaluate", "--run", string(u.dir))
	if err != nil {
		return evaluation{}, err
	}
	var e evaluation
	if err := json.Unmarshal(out, &e); err != nil {
		return e, fmt.Errorf("evaluate: %w", err)
	}
	return e, os.WriteFile(u.dir.Evaluation(), out, 0o644)
}
