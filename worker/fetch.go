package worker

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"go.uber.org/zap"

	"github.com/gramme-project/gramme/internal/bus"
	"github.com/gramme-project/gramme/internal/transfer"
	"github.com/gramme-project/gramme/internal/waiting"
	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/replica"
	"github.com/gramme-project/gramme/worker/fetch"
	"github.com/gramme-project/gramme/worker/step"
)

// fetchedState is a verified snapshot that waits for Load.
type fetchedState struct {
	state    replica.State
	digest   string
	numerics wire.Numerics // of a checkpoint
}

// startFetch runs a fetch in the background, one at a time; its event ends it. into is a
// buffer of the loop for an entry.
func (w *worker) startFetch(ctx context.Context, effect step.Effect, into []int32) {
	w.endFetch()
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	w.fetch = func() { cancel(); <-ended }
	go func() { // joined by endFetch
		defer close(ended)
		got, end := w.runFetch(ctx, fetch.New(effect, w.cfg.Spec.FailureTimeout), into)
		switch {
		case ctx.Err() != nil:
			return
		case end.Err != nil:
			w.log.Info("catch up", zap.Error(end.Err))
		case got != nil:
			w.fetched.Store(got)
		}
		w.post(ctx, end.Event)
	}()
}

func (w *worker) endFetch() {
	if w.fetch != nil {
		w.fetch()
		w.fetch = nil
	}
}

// runFetch carries a fetch out, and returns the state that it got, if it got one.
func (w *worker) runFetch(ctx context.Context, f *fetch.Fetch, into []int32) (got *fetchedState, end fetch.End) {
	next := f.Start()
	for ctx.Err() == nil {
		var a fetch.Answer
		switch do := next.(type) {
		case fetch.AskInfo:
			a = w.askState(ctx, w.subjects.SnapshotInfo(do.Donor), nil)
		case fetch.AskPin:
			a = w.askState(ctx, w.subjects.Pin(do.Member), wire.Pin{Step: do.Step, For: w.reg.ID})
		case fetch.GetEntry:
			from := make([]string, len(do.From))
			for i, id := range do.From {
				from[i] = w.subjects.Entry(id)
			}
			a.Err = w.fetchAll(ctx, from, []part{{wire.Range{Name: strconv.FormatUint(do.Step, 10)}, replica.WordBytes(into)}})
			a.Later = errors.Is(a.Err, transfer.ErrLater)
		case fetch.GetState:
			got, a.Err = w.fetchSnapshot(ctx, do.From, do.Info)
		case fetch.Wait:
			if do.Err != nil {
				w.log.Warn("a fetch is tried again", zap.Error(do.Err))
			}
			if do.Event != nil {
				w.post(ctx, do.Event)
			}
			waiting.Pause(ctx, do.For)
		case fetch.End:
			return got, do
		}
		next = f.Answered(w.now(), a)
	}
	return nil, fetch.End{Err: context.Cause(ctx)}
}

// askState asks a donor which state it can give.
func (w *worker) askState(ctx context.Context, subject string, question any) (a fetch.Answer) {
	within, cancel := context.WithTimeout(ctx, w.cfg.answerTimeout())
	defer cancel()
	a.Info, a.Err = bus.Request[wire.SnapshotInfo](within, w.cfg.Bus, subject, question)
	refused := (*bus.RefusedError)(nil)
	a.Refused = errors.As(a.Err, &refused)
	return a
}

// fetchSnapshot fetches a state from donors that all hold it, and verifies it.
func (w *worker) fetchSnapshot(ctx context.Context, donors []string, info wire.SnapshotInfo) (*fetchedState, error) {
	if info.Elements != w.rule.Layout.Total {
		return nil, fmt.Errorf("a state of %d elements, this model has %d", info.Elements, w.rule.Layout.Total)
	}
	meta, err := replica.DecodeMeta(w.rule, info.Meta)
	if err != nil {
		return nil, err
	}
	got := &fetchedState{state: replica.State{Meta: meta}, digest: info.Digest, numerics: info.Numerics}
	var parts []part
	for name, to := range map[string]*[]float32{
		wire.PartWeights: &got.state.Weights, wire.PartMoment1: &got.state.Moment1, wire.PartMoment2: &got.state.Moment2,
	} {
		*to = make([]float32, info.Elements)
		parts = append(parts, part{wire.Range{Name: name, Step: info.Step}, replica.Bytes(*to)})
	}
	subjects := make([]string, len(donors))
	for i, d := range donors {
		subjects[i] = w.subjects.Snapshot(d)
	}
	if err := w.fetchAll(ctx, subjects, parts); err != nil {
		return nil, err
	}
	digest, err := replica.Digest(&got.state, w.cfg.Cores)
	if err != nil {
		return nil, err
	}
	if digest != info.Digest {
		return nil, fmt.Errorf("the fetched state has digest %s, not %s", digest, info.Digest)
	}
	return got, nil
}
