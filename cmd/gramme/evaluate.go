package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/gramme-project/gramme/cmd/internal/evaluation"
	"github.com/gramme-project/gramme/internal/number"
	"github.com/gramme-project/gramme/internal/rundir"
	"github.com/gramme-project/gramme/internal/vfs"
)

// evaluateWithin bounds the measurement of the validation split, which is a small part
// of the text.
const evaluateWithin = 2 * time.Hour

// evaluate runs the worker's evaluation and keeps its result in the run's folder,
// with the speed of the training.
func (u *up) evaluate(ctx context.Context, env []string, tokensPerSecond float64) (e evaluation.Result, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, evaluateWithin, fmt.Errorf("no result within %s", evaluateWithin))
	defer cancel()
	out, err := u.workerOutput(ctx, env, "evaluate", "--run", string(u.dir))
	if err != nil {
		return e, err
	}
	if err := json.Unmarshal(out, &e); err != nil {
		return e, fmt.Errorf("evaluate: %w", err)
	}
	e.TokensPerSecond = number.Float(tokensPerSecond)
	if out, err = json.MarshalIndent(e, "", "  "); err != nil {
		return e, fmt.Errorf("evaluate: %w", err)
	}
	return e, vfs.WriteFile(vfs.OS{}, u.dir.Evaluation(), append(out, '\n'), 0o644)
}

// readEvaluation returns the stored evaluation of a step, or the zero Result.
func readEvaluation(dir rundir.Dir, step uint64) (e evaluation.Result, err error) {
	b, err := os.ReadFile(dir.Evaluation())
	if errors.Is(err, fs.ErrNotExist) {
		return e, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &e)
	}
	if err != nil {
		return e, fmt.Errorf("read %s: %w", dir.Evaluation(), err)
	}
	if e.Step != step {
		return evaluation.Result{}, nil
	}
	return e, nil
}
