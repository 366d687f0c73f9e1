package energy

import (
	"errors"
	"fmt"
	"math"
)

// Source identifies the meter and the process of a record.
type Source struct {
	Run         string `json:"run"`
	Worker      string `json:"worker"`      // stable name of the process
	Incarnation string `json:"incarnation"` // of that name: new at every start
	Host        string `json:"host"`
	BootID      string `json:"boot_id"` // of the host's kernel; clocks and counters are comparable only within one boot
	Meter       string `json:"meter"`   // such as "cpu", "rapl:package-0", "gpu:GPU-<uuid>"
	Kind        string `json:"kind"`    // of device: cpu, memory, gpu, platform
	Seq         uint64 `json:"seq"`     // 1, 2, … within (worker, incarnation, meter)
}

// Span is the time that a record covers.
type Span struct {
	Start     int64 `json:"start_ns"` // clock of the host since boot, suspension included
	End       int64 `json:"end_ns"`
	WallStart int64 `json:"wall_start_ns"` // Unix time, only a label: it may jump
	WallEnd   int64 `json:"wall_end_ns"`
}

// Seconds returns the length of the span.
func (s Span) Seconds() float64 { return float64(s.End-s.Start) / 1e9 }

// Part is the share of a reading that belongs to one phase of one generation.
type Part struct {
	Phase      Phase  `json:"phase"`
	Generation uint64 `json:"generation"`
	FirstStep  uint64 `json:"first_step"`
	LastStep   uint64 `json:"last_step"`
	MicroJ     int64  `json:"uj"`
	Nanos      int64  `json:"ns"` // time spent in the phase
}

// Reading is what one meter measured between two samples. Its parts add up to MicroJ
// exactly.
type Reading struct {
	Source
	Method Method `json:"method"`
	Scope  Scope  `json:"scope"`
	Span
	Unit     string   `json:"unit"`      // of the raw numbers: uJ, mJ, cpu_ns, MiB_us, …
	RawStart uint64   `json:"raw_start"` // the counter as read
	RawEnd   uint64   `json:"raw_end"`
	Range    uint64   `json:"range"` // the counter wraps to 0 after this; 0: it does not wrap
	Wraps    uint64   `json:"wraps"` // between the two values
	Num      uint64   `json:"num"`   // one raw unit is Num/Den µJ; remainders are carried on
	Den      uint64   `json:"den"`
	MicroJ   int64    `json:"uj"`
	Parts    []Part   `json:"parts"`
	Quality  []string `json:"quality,omitempty"` // see the Quality constants; sorted
	Load     *Load    `json:"load,omitempty"`    // of a counter of a host
}

// Quality flags of a reading.
const (
	QualityApportioned = "apportioned" // divided among its phases by time, not by reading the meter at each change
	QualityBaseline    = "baseline"    // RawStart does not continue the previous reading: the meter started again
	QualityWrapped     = "wrapped"     // the counter wrapped in between
)

// Gap is a time in which a meter gave no usable value.
type Gap struct {
	Source
	Span
	FirstStep uint64 `json:"first_step"`
	LastStep  uint64 `json:"last_step"`
	Reason    string `json:"reason"`
	Imputed   bool   `json:"imputed,omitempty"` // the next record of the meter estimates it
	// CountedBy is the run whose process read the counters of the host in that time: the
	// energy that this meter would have measured is in the account of that run.
	CountedBy      string `json:"counted_by,omitempty"`
	ProcessorNanos int64  `json:"processor_ns,omitempty"` // used by this process in that time, to divide the energy among runs
}

// Record is a reading or a gap: exactly one is set.
type Record struct {
	Reading *Reading `json:"reading,omitempty"`
	Gap     *Gap     `json:"gap,omitempty"`
}

// Source returns the source of the record, the zero Source of a zero Record.
func (r Record) Source() Source {
	switch {
	case r.Reading != nil:
		return r.Reading.Source
	case r.Gap != nil:
		return r.Gap.Source
	}
	return Source{}
}

// Key identifies a record: a record that arrives twice counts once.
type Key struct {
	Worker, Incarnation, Meter string
	Seq                        uint64
}

// Key returns the identity of the record with this source.
func (s Source) Key() Key { return Key{s.Worker, s.Incarnation, s.Meter, s.Seq} }

// Validate reports what is wrong with a record.
func (r Record) Validate() error {
	switch {
	case (r.Reading == nil) == (r.Gap == nil):
		return errors.New("energy record: neither a reading nor a gap, or both")
	case r.Reading != nil:
		return r.Reading.Validate()
	}
	return r.Gap.Validate()
}

// Validate reports what is wrong with a reading: an unnamed source, time that runs
// backwards, parts that do not add up, or raw numbers that do not give the energy.
func (r *Reading) Validate() error {
	if err := r.Source.validate(); err != nil {
		return fmt.Errorf("reading %w", err)
	}
	fail := func(format string, args ...any) error {
		return fmt.Errorf("reading %s/%s/%d: %s", r.Worker, r.Meter, r.Seq, fmt.Sprintf(format, args...))
	}
	switch {
	case !r.Method.Valid():
		return fail("unknown method %q", r.Method)
	case !r.Scope.Valid():
		return fail("unknown scope %q", r.Scope)
	case r.Start > r.End:
		return fail("ends before it starts")
	case r.MicroJ < 0:
		return fail("negative energy")
	case r.Den == 0 || r.Num == 0:
		return fail("no conversion of raw units")
	case r.Load.hasNegative():
		return fail("negative processor time")
	}
	var sum int64
	for i, p := range r.Parts {
		switch {
		case !p.Phase.Valid():
			return fail("part %d: unknown phase %q", i, p.Phase)
		case p.MicroJ < 0 || p.Nanos < 0:
			return fail("part %d: negative", i)
		case p.FirstStep > p.LastStep:
			return fail("part %d: steps run backwards", i)
		case p.MicroJ > math.MaxInt64-sum:
			return fail("part %d: sum overflows", i)
		}
		sum += p.MicroJ
	}
	if sum != r.MicroJ {
		return fail("parts add up to %d µJ, not to %d", sum, r.MicroJ)
	}
	return r.checkRaw(fail)
}

// checkRaw checks that the raw numbers give the energy, up to the one µJ that the remainder
// of the previous reading may add.
func (r *Reading) checkRaw(fail func(string, ...any) error) error {
	if r.Method == Imputed {
		return nil // it has no raw numbers
	}
	delta, ok := RawDelta(r.RawStart, r.RawEnd, r.Range, r.Wraps)
	if !ok {
		return fail("raw %d to %d with %d wraps of %d is not a difference", r.RawStart, r.RawEnd, r.Wraps, r.Range)
	}
	want, rest, ok := Scale(delta, r.Num, r.Den, 0)
	if !ok {
		return fail("raw difference %d overflows", delta)
	}
	if r.MicroJ != want && (rest == 0 || r.MicroJ != want+1) {
		return fail("%d µJ, but the raw numbers give %d", r.MicroJ, want)
	}
	return nil
}

// Validate reports what is wrong with a gap.
func (g *Gap) Validate() error {
	if err := g.Source.validate(); err != nil {
		return fmt.Errorf("gap %w", err)
	}
	switch {
	case g.Start > g.End:
		return fmt.Errorf("gap %s/%s/%d: ends before it starts", g.Worker, g.Meter, g.Seq)
	case g.FirstStep > g.LastStep:
		return fmt.Errorf("gap %s/%s/%d: steps run backwards", g.Worker, g.Meter, g.Seq)
	case g.ProcessorNanos < 0:
		return fmt.Errorf("gap %s/%s/%d: negative processor time", g.Worker, g.Meter, g.Seq)
	case g.Reason == "":
		return fmt.Errorf("gap %s/%s/%d: no reason", g.Worker, g.Meter, g.Seq)
	}
	return nil
}

func (s Source) validate() error {
	switch {
	case s.Worker == "" || s.Incarnation == "" || s.Host == "" || s.Meter == "" || s.Kind == "":
		return fmt.Errorf("%s/%s/%d: worker, incarnation, host, meter or kind is missing", s.Worker, s.Meter, s.Seq)
	case s.Seq == 0:
		return fmt.Errorf("%s/%s: sequence numbers begin with 1", s.Worker, s.Meter)
	}
	return nil
}
