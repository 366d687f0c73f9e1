package ledger

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/gramme-project/gramme/energy"
	"github.com/gramme-project/gramme/internal/failures"
	"github.com/gramme-project/gramme/internal/number"
)

// tally makes an account of the entries of a log.
type tally struct {
	account       Account
	devices       map[Device]*Device // by the device without amounts
	steps         []stepRange        // committed, ascending, disjoint and not adjacent
	lost          lostWork
	charges       charges
	training      training
	defaultFactor *energy.Factor // the newest, for hosts without their own
	hostFactors   map[string]energy.Factor
}

type stepRange struct{ first, last uint64 }

func newTally() *tally {
	return &tally{
		account: Account{
			ByPhase: map[energy.Phase]int64{}, ByHost: map[string]int64{}, ByKind: map[string]int64{},
			ByMethod: map[energy.Method]int64{}, ByWorker: map[string]int64{},
			Devices: []Device{}, Gaps: []Gap{}, Resumes: []Resume{}, Checkpoints: []Saved{}, Notes: []NotedEntry{},
		},
		devices:     map[Device]*Device{},
		charges:     newCharges(),
		hostFactors: map[string]energy.Factor{},
	}
}

// add counts a checked entry.
func (t *tally) add(e Entry) {
	a := &t.account
	if a.Entries == 0 {
		a.From = e.Time
	}
	a.To = e.Time
	a.Entries++
	switch {
	case e.Started != nil:
		a.Run, a.SpecHash = e.Started.Run, e.Started.SpecHash
		a.Software, a.PublicKey = e.Started.Software, e.Started.PublicKey
		t.training.software = a.Software
	case e.Resumed != nil:
		a.Resumes = append(a.Resumes, Resume{e.Index, e.Resumed.Step, e.Resumed.From, e.Resumed.Software})
		t.training.software = e.Resumed.Software
	case e.Handover != nil:
		a.Handovers = append(a.Handovers, HandedOver{e.Index, e.Handover.From, e.Handover.To, e.Handover.Signed, e.Handover.Reason})
	case e.Reading != nil:
		t.countReading(e.Reading)
	case e.Gap != nil && e.Gap.CountedBy != "":
		t.charges.addGap(e.Gap)
	case e.Gap != nil:
		a.Gaps = append(a.Gaps, Gap{e.Index, *e.Gap})
		a.GapSeconds += number.Float(e.Gap.Seconds())
	case e.Membership != nil:
		a.Memberships++
		a.Generation = max(a.Generation, e.Membership.Generation)
	case e.Lineage != nil:
		t.lost.addLineage(e.Lineage)
	case e.Steps != nil:
		t.countSteps(e.Steps)
	case e.Checkpoint != nil:
		a.Checkpoints = append(a.Checkpoints, Saved{e.Index, *e.Checkpoint})
	case e.Carbon != nil && e.Carbon.Host != "":
		t.hostFactors[e.Carbon.Host] = *e.Carbon
	case e.Carbon != nil:
		t.defaultFactor = e.Carbon
	case e.Note != nil:
		a.Notes = append(a.Notes, NotedEntry{e.Index, *e.Note})
		a.Mixed = a.Mixed || e.Note.Kind == NoteMixed
	}
}

// countReading counts a reading once in every division of the total; in phases by its
// parts.
func (t *tally) countReading(r *energy.Reading) {
	a := &t.account
	a.Readings++
	a.Total += r.MicroJ
	for _, p := range r.Parts {
		a.ByPhase[p.Phase] += p.MicroJ
		if p.Phase.Wasted() {
			a.Wasted += p.MicroJ
		}
	}
	t.lost.addReading(r)
	t.charges.addReading(r)
	a.ByHost[r.Host] += r.MicroJ
	a.ByKind[r.Kind] += r.MicroJ
	a.ByMethod[r.Method] += r.MicroJ
	a.ByWorker[r.Worker] += r.MicroJ
	name := Device{Host: r.Host, Meter: r.Meter, Kind: r.Kind}
	d := t.devices[name]
	if d == nil {
		d = &name
		t.devices[name] = d
	}
	d.MicroJ += r.MicroJ
	if r.Method.Guess() {
		a.Guessed += r.MicroJ
		d.Guessed += r.MicroJ
	}
}

// countSteps counts the new steps, and the share of the new steps in samples and tokens:
// all steps have equally many.
func (t *tally) countSteps(s *Steps) {
	a := &t.account
	all := s.LastStep - s.FirstStep + 1
	t.training.add(s)
	a.Skipped += s.Skipped
	fresh := all - t.addSteps(s.FirstStep, s.LastStep)
	a.Steps += fresh
	a.Repeated += all - fresh
	a.Samples += share(s.Samples, fresh, all)
	a.Tokens += share(s.Tokens, fresh, all)
}

// addSteps adds first to last to the committed steps and returns how many of them were
// already known.
func (t *tally) addSteps(first, last uint64) (known uint64) {
	merged := stepRange{first, last}
	var rest []stepRange
	for _, r := range t.steps {
		if low, high := max(r.first, first), min(r.last, last); low <= high {
			known += high - low + 1
		}
		if r.last+1 < first || last+1 < r.first {
			rest = append(rest, r)
			continue
		}
		merged.first, merged.last = min(merged.first, r.first), max(merged.last, r.last)
	}
	rest = append(rest, merged)
	t.steps = rest
	slices.SortFunc(t.steps, func(a, b stepRange) int { return cmp.Compare(a.first, b.first) })
	return known
}

// finish completes the account and checks that its divisions add up.
func (t *tally) finish() (*Account, error) {
	a := &t.account
	if a.Total > 0 {
		a.Share = number.Float(float64(a.Guessed) / float64(a.Total))
	}
	for _, d := range t.devices {
		a.Devices = append(a.Devices, *d)
	}
	slices.SortFunc(a.Devices, func(x, y Device) int {
		return cmp.Or(cmp.Compare(x.Host, y.Host), cmp.Compare(x.Kind, y.Kind), cmp.Compare(x.Meter, y.Meter))
	})
	a.LostWork = t.lost.total()
	a.Wasted += a.LostWork
	a.Carbon = t.carbon()
	a.Charged = t.charges.list()
	t.training.finish(a)
	return a, a.checkSums()
}

// carbon applies the newest factor of each host; nil if a host has none.
func (t *tally) carbon() *Carbon {
	c := &Carbon{}
	for _, host := range slices.Sorted(maps.Keys(t.account.ByHost)) {
		f, ok := t.hostFactors[host]
		switch {
		case ok:
		case t.defaultFactor != nil:
			f = *t.defaultFactor
		default:
			return nil
		}
		c.Grams += number.Float(f.Grams(t.account.ByHost[host]))
		if !slices.Contains(c.Factors, f) {
			c.Factors = append(c.Factors, f)
		}
	}
	if len(c.Factors) == 0 && t.defaultFactor != nil {
		c.Factors = append(c.Factors, *t.defaultFactor)
	}
	if len(c.Factors) == 0 {
		return nil
	}
	return c
}

// checkSums checks, in integers, that the energy of the devices of a host adds up to that
// of the host, and that every division adds up to the total. (That the parts of a reading
// add up to it was checked with the reading.)
func (a *Account) checkSums() error {
	devices := map[string]int64{}
	for _, d := range a.Devices {
		devices[d.Host] += d.MicroJ
	}
	var errs []error
	if !maps.Equal(devices, a.ByHost) {
		errs = append(errs, errors.New("the energy of devices does not add up to that of their hosts"))
	}
	for what, sum := range map[string]int64{
		"hosts": total(a.ByHost), "phases": total(a.ByPhase), "kinds of devices": total(a.ByKind),
		"methods": total(a.ByMethod), "workers": total(a.ByWorker),
	} {
		if sum != a.Total {
			errs = append(errs, fmt.Errorf("the energy of all %s is %d µJ, that of all readings %d", what, sum, a.Total))
		}
	}
	return failures.Of(errs...)
}

func total[K comparable](m map[K]int64) (sum int64) {
	for _, v := range m {
		sum += v
	}
	return sum
}
