package chaos

import (
	"errors"
	"fmt"
	"time"

	"github.com/gramme-project/gramme/internal/failures"
	"github.com/gramme-project/gramme/runspec"
)

// Range is a span of time from which one is drawn.
type Range struct{ Min, Max time.Duration }

func (r Range) String() string { return r.Min.String() + ":" + r.Max.String() }

// Plan says what is tried. The tags say how a key is called in a file.
type Plan struct {
	Seed     uint64          // of the faults
	Faults   int             // how many; 0: as many as fit in Duration
	Duration time.Duration   // about as long the run is disturbed, where Faults is 0
	Workers  runspec.Workers // of the disturbed run
	Services string          // where its etcd and NATS are: Embedded or Cluster
	Gap      Range           // training between the end of a fault and the next
	Whole    bool            // before a fault, wait until all workers that are wanted train
	Patience time.Duration   // without a step for as long, the run hangs
	Config   string          // file with configuration keys of the run
	Settings []runspec.Setting
	Weights  map[Kind]int // nil: those of all kinds that are possible
}

// Where etcd and NATS of the disturbed run are.
const (
	Embedded = "embedded" // inside of `gramme up`
	Cluster  = "cluster"  // members of a cluster that the trial starts
)

// Default is what is tried without a plan.
func Default() Plan {
	return Plan{
		Seed: 1, Faults: 20, Workers: runspec.Workers{Min: 1, Max: 3}, Services: Embedded,
		Gap: Range{500 * time.Millisecond, 2 * time.Second}, Patience: time.Minute,
	}
}

// weight is how often a kind is drawn, beside the others.
func (p Plan) weight(k Kind) int {
	if p.Weights != nil {
		return max(0, p.Weights[k])
	}
	if p.possible(k) != nil {
		return 0
	}
	return k.of().weight
}

// possible says why a kind cannot happen.
func (p Plan) possible(k Kind) error {
	switch {
	case k.is(resize) && p.Workers.Min == p.Workers.Max:
		return fmt.Errorf("with always %s workers none can come or go; give workers a range, as 1:3", p.Workers)
	case k.serves() != "" && p.Services != Cluster:
		return fmt.Errorf("etcd and NATS live in `gramme up`, and go with it (%s); give services: %s", KillUp, Cluster)
	}
	return nil
}

// partitions tells whether a worker is cut off by one of the faults.
func (p Plan) partitions() bool {
	return p.weight(CutShort)+p.weight(CutLong)+p.weight(CutOneWay) > 0
}

// recovery is about how long a fault takes apart from the gap, while training
// goes on.
const recovery = time.Second

// takeover is about how long it takes until another coordinator leads. The run
// trains meanwhile.
const takeover = 3 * time.Second

// rejoin is about how long a worker that was killed takes to be back.
const rejoin = 5 * time.Second

// Count is the number of faults.
func (p Plan) Count() int {
	if p.Faults > 0 {
		return p.Faults
	}
	return max(1, int(p.Duration/((p.Gap.Min+p.Gap.Max)/2+recovery)))
}

// Training is about how long the run has to train so that all faults fit.
func (p Plan) Training() time.Duration {
	total := 3 * recovery // before the first and after the last
	for _, f := range Draw(p) {
		total += f.Gap + recovery
		if f.Kind == KillCoordinator || f.Kind == CrashCoordinator {
			total += takeover
		}
		if f.Kind.serves() != "" { // they start again, and then may another coordinator
			total += 2 * takeover
		}
		total += time.Duration(f.Hold * float64(time.Second)) // failure_timeout is a second where nothing is said
		if p.Whole {
			total += rejoin
		}
	}
	return total
}

// Validate says what cannot be tried.
func (p Plan) Validate() error {
	var errs []error
	if p.Faults < 0 || p.Faults == 0 && p.Duration <= 0 {
		errs = append(errs, errors.New("plan: faults or duration: one of them has to be above 0"))
	}
	if p.Gap.Min < 0 || p.Gap.Max < p.Gap.Min {
		errs = append(errs, fmt.Errorf("plan: gap: %s is no span of time", p.Gap))
	}
	if p.Patience <= 0 {
		errs = append(errs, fmt.Errorf("plan: patience: %s is not above 0", p.Patience))
	}
	if p.Workers.Min < 1 || p.Workers.Max < p.Workers.Min {
		errs = append(errs, fmt.Errorf("plan: workers: %s cannot be", p.Workers))
	}
	if p.Services != Embedded && p.Services != Cluster {
		errs = append(errs, fmt.Errorf("plan: services: %q is neither %s nor %s", p.Services, Embedded, Cluster))
	}
	sum := 0
	for _, k := range kinds {
		if w := p.Weights[k.kind]; w < 0 {
			errs = append(errs, fmt.Errorf("plan: kinds.%s: weight %d is negative", k.kind, w))
		} else if err := p.possible(k.kind); w > 0 && err != nil {
			errs = append(errs, fmt.Errorf("plan: kinds.%s: %w", k.kind, err))
		}
		sum += p.weight(k.kind)
	}
	if sum == 0 {
		errs = append(errs, errors.New("plan: kinds: no kind of fault has a weight above 0"))
	}
	for _, s := range p.Settings {
		switch s.Key.Name {
		case "workers", "run_id", "corpus":
			errs = append(errs, fmt.Errorf("plan: %s: run.%s is not for a plan to set", s.Origin, s.Key.Name))
		}
	}
	return failures.Of(errs...)
}
