//go:build cgo

package main

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"os"

	"github.com/spf13/cobra"

	"github.com/gramme-project/gramme/checkpoint"
	"github.com/gramme-project/gramme/cmd/internal/evaluation"
	"github.com/gramme-project/gramme/energy"
	"github.com/gramme-project/gramme/internal/endpoint"
	"github.com/gramme-project/gramme/internal/exit"
	"github.com/gramme-project/gramme/internal/number"
	"github.com/gramme-project/gramme/internal/rundir"
	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/launch/role"
	"github.com/gramme-project/gramme/replica/model"
	"github.com/gramme-project/gramme/runspec"
	"github.com/gramme-project/gramme/shard"
	"github.com/gramme-project/gramme/shard/sampler"
)

func evaluateCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "evaluate",
		Short: "measure a run's newest checkpoint, and its initial weights, on a held-out split",
		Args:  cobra.NoArgs,
	}
	dir := c.Flags().String("run", "", "`folder` of the run")
	split := c.Flags().String("split", "validation", "validation or test")
	most := c.Flags().Int("batches", 64, "maximum number of batches of 16 sequences to measure")
	c.RunE = func(c *cobra.Command, _ []string) error {
		evaluate := func(abandon func()) error {
			result, err := evaluateRun(c.Context(), rundir.Dir(*dir), *split, *most, abandon)
			if err != nil {
				return err
			}
			e := json.NewEncoder(c.OutOrStdout())
			e.SetIndent("", "  ")
			return e.Encode(result)
		}
		// While the run is up, its ledger counts the energy of the evaluation, too.
		e, err := endpoint.FromEnviron(os.Environ())
		if err != nil {
			return evaluate(nil)
		}
		r, err := role.Start(c.Context(), role.Options{
			Role: wire.RoleEvaluation, ID: string(wire.RoleEvaluation), Endpoint: e, Energy: rundir.Dir(*dir).Energy(), Phase: energy.Evaluation, Computes: true,
		})
		if err != nil {
			return err
		}
		err = r.Run(c.Context(), func(context.Context) error { return evaluate(r.Abandon) })
		return errors.Join(err, r.Close())
	}
	return c
}

func evaluateRun(ctx context.Context, dir rundir.Dir, split string, most int, abandon func()) (out evaluation.Result, err error) {
	spec, err := runspec.Read(dir.Spec())
	if err != nil {
		return out, exit.Wrap(exit.Usage, "name the folder of a run with --run", err)
	}
	data, err := localCorpus(dir)
	if err != nil {
		return out, err
	}
	newest, err := newestModel(dir, os.Stderr)
	if err != nil {
		return out, err
	}
	e, err := newEngine(spec, data.manifest.VocabSize, spec.Threads, hung(abandon))
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	out.Step, out.Split = newest.Step, split
	if err := e.setWeights(model.Init(e.config, e.layout, spec.Seed)); err != nil {
		return out, err
	}
	if out.Start, err = measureSplit(ctx, e, data, spec, split, most); err != nil {
		return out, err
	}
	_, _, weights, err := checkpoint.ReadModel(newest.Folder)
	if err != nil {
		return out, err
	}
	out.Weights, out.NotFinite = e.layout.Parameters(), notFinite(weights)
	if out.NotFinite > 0 {
		nothing := number.Float(math.NaN())
		out.Newest = evaluation.Measures{MLMLoss: nothing, MLMAccuracy: nothing, NSPLoss: nothing, NSPAccuracy: nothing}
		return out, nil
	}
	if err := e.setWeights(weights); err != nil {
		return out, err
	}
	out.Newest, err = measureSplit(ctx, e, data, spec, split, most)
	return out, err
}

func measureSplit(ctx context.Context, e *engine, data *corpus, spec runspec.Spec, name string, most int) (evaluation.Measures, error) {
	split, err := data.manifest.Split(name)
	if err != nil {
		return evaluation.Measures{}, exit.Wrap(exit.Usage, "", err)
	}
	cfg := sampler.EvaluationConfig(name, spec.MaxSeq, spec.Data.Window, most)
	s, batches, err := sampler.NewEvaluation(cfg, data.manifest, data.vocabulary, shard.Loader(ctx, data.fetcher, split))
	if err != nil {
		return evaluation.Measures{}, err
	}
	var m evaluation.Measures
	var correct, right, next int
	var mlm, nsp float64
	for i := range batches {
		b, err := s.Batch(0, i)
		if err != nil {
			return m, err
		}
		r, err := e.Evaluate(b)
		if err != nil {
			return m, err
		}
		mlm += r.MLMLoss * float64(r.MLMCount)
		nsp += r.NSPLoss * float64(r.NSPCount)
		m.Predictions += r.MLMCount
		m.Pairs += r.NSPCount
		correct += r.MLMCorrect
		right += r.NSPCorrect
		for _, label := range b.Next {
			next += int(label)
		}
	}
	predictions, pairs := float64(max(m.Predictions, 1)), float64(max(m.Pairs, 1))
	m.MLMLoss, m.NSPLoss = number.Float(mlm/predictions), number.Float(nsp/pairs)
	m.MLMAccuracy, m.NSPAccuracy = number.Float(float64(correct)/predictions), number.Float(float64(right)/pairs)
	m.NSPChance = number.Float(float64(max(next, m.Pairs-next)) / pairs)
	return m, nil
}
