package simulation

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/replica"
	"github.com/gramme-project/gramme/worker/fetch"
	"github.com/gramme-project/gramme/worker/pin"
	"github.com/gramme-project/gramme/worker/step"
)

// answerWithin bounds one request for a piece.
const answerWithin = 5 * time.Second

// fetched is a verified state that waits to be loaded.
type fetched struct {
	state  replica.State
	digest string
	stored bool // a checkpoint has it: it is not what this worker trained
}

// fetching is a fetch that is being carried out, one at a time.
type fetching struct {
	*fetch.Fetch
	k     *worker
	ended bool // it answers no more
	got   *fetched
	done  func(got *fetched, end fetch.End)
}

// startFetch carries out a fetch for the machine.
func (k *worker) startFetch(f step.Effect) {
	k.endFetch()
	k.runFetch(fetch.New(f, failureTimeout), func(got *fetched, end fetch.End) {
		if end.Err != nil {
			k.w.say("%s cannot fetch: %v", k.reg.Incarnation, end.Err)
		}
		k.fetched = got
		k.post(end.Event)
	})
}

func (k *worker) runFetch(f *fetch.Fetch, done func(got *fetched, end fetch.End)) {
	k.fetching = &fetching{Fetch: f, k: k, done: done}
	k.fetching.take(f.Start())
}

func (k *worker) endFetch() {
	if k.fetching != nil {
		k.fetching.ended = true
		k.fetching = nil
	}
}

// take carries out an action, and then the next.
func (f *fetching) take(a fetch.Action) {
	k := f.k
	answer := func(a fetch.Answer) {
		if !f.ended {
			f.take(f.Answered(k.w.time(), a))
		}
	}
	switch do := a.(type) {
	case fetch.AskInfo:
		k.askState(topicInfo, do.Donor, nil, answer)
	case fetch.AskPin:
		k.askState(topicPin, do.Member, wire.Pin{Step: do.Step, For: k.id}, answer)
	case fetch.GetEntry:
		f.getEntry(do, answer)
	case fetch.GetState:
		f.getState(do, answer)
	case fetch.Wait:
		if do.Event != nil {
			k.post(do.Event)
		}
		k.p.after(do.For, func() { answer(fetch.Answer{}) })
	case fetch.End:
		f.done(f.got, do)
	}
}

// askState asks a donor which state it can give.
func (k *worker) askState(t topic, donor string, question any, answer func(fetch.Answer)) {
	k.p.ask(t, donor, question, answerWithin, func(body any, err error) {
		a := fetch.Answer{Err: err, Refused: err != nil && !errors.Is(err, errTimeout) && !errors.Is(err, errNoResponders)}
		if err == nil {
			a.Info = body.(wire.SnapshotInfo)
		}
		if k.w.bug == NoDigests {
			a.Info.Digest = k.digest()
		}
		answer(a)
	})
}

func (f *fetching) getEntry(do fetch.GetEntry, answer func(fetch.Answer)) {
	f.getAll(do.From, []piece{{topicEntry, wire.Range{Step: do.Step}, func(body any) { copy(f.k.Spare, body.([]int32)) }}}, func(err error) {
		answer(fetch.Answer{Err: err, Later: errors.Is(err, errLater)})
	})
}

func (f *fetching) getState(do fetch.GetState, answer func(fetch.Answer)) {
	k, info := f.k, do.Info
	k.w.say("%s fetches the state of step %d from %v", k.name(), info.Step, do.From)
	got := &fetched{digest: info.Digest, stored: slices.Contains(do.From, wire.IDCheckpoint)}
	var err error
	if got.state.Meta, err = replica.DecodeMeta(k.w.rule, info.Meta); err != nil {
		answer(fetch.Answer{Err: err})
		return
	}
	var pieces []piece
	for _, name := range []string{wire.PartWeights, wire.PartMoment1, wire.PartMoment2} {
		pieces = append(pieces, piece{topicSnapshot, wire.Range{Name: name, Step: info.Step}, func(body any) {
			*pin.Part(&got.state, name) = body.([]float32)
		}})
	}
	f.getAll(do.From, pieces, func(err error) {
		if err == nil {
			f.got, err = got, k.verify(got)
		}
		answer(fetch.Answer{Err: err})
	})
}

// piece is a part of what is fetched, and what to do with it.
type piece struct {
	topic topic
	what  wire.Range
	keep  func(body any)
}

// getAll gets pieces from several sources at once.
func (f *fetching) getAll(sources []string, all []piece, done func(err error)) {
	todo, idle := fetch.NewPieces(all), slices.Clone(sources)
	var ask func()
	ask = func() {
		for len(idle) > 0 {
			p, ok := todo.Next()
			if !ok {
				break
			}
			source := idle[0]
			idle = idle[1:]
			f.k.p.ask(p.topic, source, p.what, answerWithin, func(body any, err error) {
				if f.ended {
					return
				}
				if err == nil {
					p.keep(body)
					idle = append(idle, source)
				}
				todo.Done(p, err)
				ask()
			})
		}
		if !todo.InFlight() {
			done(todo.Err())
		}
	}
	ask()
}

func (k *worker) verify(got *fetched) error {
	if k.w.bug == MixedSnapshot || k.w.bug == NoDigests {
		return nil
	}
	d, err := replica.Digest(&got.state, 1)
	if err == nil && d != got.digest {
		err = fmt.Errorf("digest %s of what came, not %s", d, got.digest)
	}
	return err
}

// What a worker gives to peers, whatever its loop is at.

func (k *worker) answerEntry(e envelope) {
	number := e.body.(wire.Range).Step
	entry, later := k.EntryAt(k.w.time(), number)
	if older, _ := k.EntryAt(k.w.time(), number-1); k.w.bug == StalePin && entry != nil && older != nil {
		entry = older
	}
	switch {
	case entry != nil:
		k.p.answer(e, slices.Clone(entry), nil)
	case later:
		k.p.answer(e, nil, errLater)
	default:
		k.p.answer(e, nil, errNotHeld)
	}
}

func (k *worker) answerSnapshot(e envelope) {
	r := e.body.(wire.Range)
	state := k.StateAt(k.w.time(), r.Step)
	if state == nil {
		k.p.answer(e, nil, errNotHeld)
		return
	}
	k.p.answer(e, slices.Clone(*pin.Part(state, r.Name)), nil)
}

func (k *worker) answerInfo(e envelope) { k.p.answer(e, infoOf(k.w, k.State), nil) }

// answerPin pins the newest state, or that of the next step, for one that joins.
func (k *worker) answerPin(e envelope) {
	ask, ok := e.body.(wire.Pin)
	if !ok { // the coordinator asks whether it is there
		k.p.answer(e, nil, errNotHeld)
		return
	}
	switch pinned := k.Pin(k.w.time(), ask.Step, ask.For); {
	case pinned == nil:
		k.p.answer(e, nil, fmt.Errorf("step %d has passed", ask.Step))
	case pinned.State == nil:
		k.p.answer(e, wire.SnapshotInfo{Step: pinned.At}, nil)
	default:
		k.p.answer(e, infoOf(k.w, pinned.State), nil)
	}
}

var (
	errNotHeld = errors.New("it is not held")
	errLater   = errors.New("it has yet to come")
)

// infoOf names a state that can be given.
func infoOf(w *world, s *replica.State) wire.SnapshotInfo {
	info, err := pin.Describe(s, 1)
	if err != nil {
		w.fail("%v", err)
	}
	return info
}
