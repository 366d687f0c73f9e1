package worker

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"

	"go.uber.org/zap"

	"github.com/gramme-project/gramme/internal/bus"
	"github.com/gramme-project/gramme/internal/transfer"
	"github.com/gramme-project/gramme/internal/waiting"
	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/internal/words"
	"github.com/gramme-project/gramme/replica"
	"github.com/gramme-project/gramme/worker/step"
)

// fetchedState is a verified snapshot that waits for Load.
type fetchedState struct {
	state  replica.State
	digest string
}

// startFetch runs a fetch in the background, one at a time; its event ends it.
func (w *worker) startFetch(ctx context.Context, fetch func(context.Context) step.Event) {
	w.endFetch()
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	w.fetch = func() { cancel(); <-ended }
	go func() { // joined by endFetch
		defer close(ended)
		if e := fetch(ctx); ctx.Err() == nil {
			w.post(ctx, e)
		}
	}()
}

func (w *worker) endFetch() {
	if w.fetch != nil {
		w.fetch()
		w.fetch = nil
	}
}

// fetchFailed returns the event of a failed fetch after a short pause, since the state
// machine retries at once. A follower does not retry, and needs no pause.
func (w *worker) fetchFailed(ctx context.Context, generation uint64, err error) step.Event {
	if ctx.Err() == nil {
		w.log.Warn("catch up", zap.Error(err))
	}
	waiting.Pause(ctx, w.cfg.Spec.FailureTimeout/10)
	return step.FetchFailed{Generation: generation, Reason: err.Error()}
}

// fetchEntry fetches the entry of a step from members into a buffer of the loop.
func (w *worker) fetchEntry(ctx context.Context, f step.FetchEntry, into []int32) step.Event {
	from := make([]string, len(f.From))
	for i, id := range f.From {
		from[i] = w.subjects.Entry(id)
	}
	for told := false; ; waiting.Pause(ctx, w.cfg.Spec.FailureTimeout/100) {
		err := w.fetchAll(ctx, from, []part{{wire.Range{Name: strconv.FormatUint(f.Step, 10)}, replica.WordBytes(into)}})
		switch {
		case err == nil:
			return step.EntryFetched{Generation: f.Generation, Step: f.Step}
		case f.Await && (!errors.Is(err, transfer.ErrLater) || ctx.Err() != nil):
			return step.FetchFailed{Generation: f.Generation, Reason: err.Error()}
		case !f.Await:
			return w.fetchFailed(ctx, f.Generation, fmt.Errorf("fetch entry of step %d: %w", f.Step, err))
		case !told:
			told = true
			w.post(ctx, step.UpToDate{Generation: f.Generation, Step: f.Step})
		}
	}
}

// fetchMembersState fetches the members' state of a step.
func (w *worker) fetchMembersState(ctx context.Context, f step.FetchSnapshot) step.Event {
	fetch := func() (*fetchedState, error) {
		info, err := w.snapshotInfo(ctx, f.From[0])
		if err != nil {
			return nil, err
		}
		if !f.Fits(info) {
			return nil, fmt.Errorf("%s holds step %d with digest %s", f.From[0], info.Step, info.Digest)
		}
		return w.fetchSnapshot(ctx, f.From, info)
	}
	got, err := fetch()
	if err != nil {
		return w.fetchFailed(ctx, f.Generation, fmt.Errorf("fetch state of step %d: %w", f.Step, err))
	}
	w.fetched.Store(got)
	return step.SnapshotFetched{Generation: f.Generation, Step: got.state.Step}
}

// snapshotInfo asks a donor which state it can give. It waits for an absent checkpoint
// service.
func (w *worker) snapshotInfo(ctx context.Context, donor string) (wire.SnapshotInfo, error) {
	for {
		within, cancel := context.WithTimeout(ctx, w.cfg.answerTimeout())
		info, err := bus.Request[wire.SnapshotInfo](within, w.cfg.Bus, w.subjects.SnapshotInfo(donor), nil)
		cancel()
		if refused := (*bus.RefusedError)(nil); err == nil || errors.As(err, &refused) {
			return info, err
		}
		if ctx.Err() != nil || donor != wire.IDCheckpoint {
			return wire.SnapshotInfo{}, fmt.Errorf("ask %s for its state: %w", donor, err)
		}
		w.log.Info("waiting for the checkpoint service", zap.Error(err))
		if err := waiting.Rest(ctx, w.cfg.Spec.FailureTimeout/10); err != nil {
			return wire.SnapshotInfo{}, err
		}
	}
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
	got := &fetchedState{state: replica.State{Meta: meta}, digest: info.Digest}
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

// part is a range to fetch and its destination.
type part struct {
	what wire.Range
	to   []byte
}

// fetchAll fetches parts in pieces from several sources at once. A source that fails is
// dropped; its piece comes from another.
func (w *worker) fetchAll(ctx context.Context, sources []string, parts []part) error {
	type piece struct {
		what wire.Range
		to   []byte
	}
	var pieces []piece
	for _, p := range parts {
		for at := 0; at < len(p.to); at += wire.MaxChunk {
			n := min(wire.MaxChunk, len(p.to)-at)
			what := p.what
			what.Offset, what.Length = int64(at), n
			pieces = append(pieces, piece{what, p.to[at : at+n]})
		}
	}
	var mu sync.Mutex
	changed := sync.NewCond(&mu)
	var failures error
	inFlight := 0 // pieces in flight: they are requeued if their source fails
	next := func() (piece, bool) {
		mu.Lock()
		defer mu.Unlock()
		for len(pieces) == 0 && inFlight > 0 {
			changed.Wait()
		}
		if len(pieces) == 0 {
			return piece{}, false
		}
		p := pieces[len(pieces)-1]
		pieces = pieces[:len(pieces)-1]
		inFlight++
		return p, true
	}
	done := func(p piece, err error) {
		mu.Lock()
		defer mu.Unlock()
		inFlight--
		if err != nil {
			pieces = append(pieces, p)
			failures = errors.Join(failures, err)
		}
		changed.Broadcast()
	}
	var group sync.WaitGroup
	for _, source := range sources {
		group.Go(func() {
			for {
				p, ok := next()
				if !ok {
					return
				}
				err := w.fetchPiece(ctx, source, p.what, p.to)
				if done(p, err); err != nil {
					return
				}
			}
		})
	}
	group.Wait()
	if len(pieces) > 0 {
		return fmt.Errorf("%s missing: %w", words.Several(len(pieces), "piece"), failures)
	}
	return ctx.Err()
}

func (w *worker) fetchPiece(ctx context.Context, subject string, what wire.Range, to []byte) error {
	within, cancel := context.WithTimeout(ctx, w.cfg.answerTimeout())
	defer cancel()
	data, _, err := transfer.Fetch(within, w.cfg.bulk(), subject, what)
	if err != nil {
		return err
	}
	if len(data) != len(to) {
		return fmt.Errorf("%s: %d bytes, asked for %d", subject, len(data), len(to))
	}
	copy(to, data)
	return nil
}
