package ledger

import (
	"encoding/json"
	"math"
	"math/big"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/gramme-project/gramme/energy"
	"github.com/gramme-project/gramme/internal/number"
)

// TestAccount compares the account of random readings with a naive sum of each
// division, in big integers.
func TestAccount(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	d := newMemDisk()
	l, err := open(d, memOptions())
	if err != nil {
		t.Fatal(err)
	}
	sums := map[string]*big.Int{}
	add := func(name string, uj int64) {
		if sums[name] == nil {
			sums[name] = new(big.Int)
		}
		sums[name].Add(sums[name], big.NewInt(uj))
	}
	var entries []Entry
	seqs := map[meterKey]uint64{}
	for range 400 {
		worker, meter := []string{"w0", "w1", "w2"}[r.IntN(3)], []string{"cpu", "memory", "gpu:0", "gpu:1"}[r.IntN(4)]
		key := meterKey{worker, worker + "-1", meter}
		seqs[key]++
		e := reading(worker, meter, seqs[key], 0)
		m := e.Reading
		m.Method, m.Parts, m.MicroJ = energy.Methods()[r.IntN(4)], nil, 0
		m.Host = []string{"a", "b"}[r.IntN(2)]
		for range r.IntN(5) {
			p := energy.Part{Phase: energy.Phases()[r.IntN(len(energy.Phases()))], MicroJ: r.Int64N(1 << 53)}
			m.Parts = append(m.Parts, p)
			m.MicroJ += p.MicroJ
			add("phase "+string(p.Phase), p.MicroJ)
			if p.Phase == energy.Recovery || p.Phase == energy.Recompute || p.Phase == energy.Waiting {
				add("wasted", p.MicroJ)
			}
		}
		m.RawEnd = m.RawStart + uint64(m.MicroJ)
		add("total", m.MicroJ)
		add("host "+m.Host, m.MicroJ)
		add("kind "+m.Kind, m.MicroJ)
		add("worker "+m.Worker, m.MicroJ)
		add("method "+string(m.Method), m.MicroJ)
		add("device "+m.Host+" "+m.Meter, m.MicroJ)
		if m.Method == energy.Estimated || m.Method == energy.Imputed {
			add("guessed", m.MicroJ)
			add("guessed "+m.Host+" "+m.Meter, m.MicroJ)
		}
		entries = append(entries, e)
	}
	if _, err := l.Append(entries...); err != nil {
		t.Fatal(err)
	}
	a, err := verify(d, "/run/ledger", nil)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int64{"total": a.Total, "wasted": a.Wasted, "guessed": a.Guessed}
	for k, v := range a.ByPhase {
		got["phase "+string(k)] = v
	}
	for k, v := range a.ByHost {
		got["host "+k] = v
	}
	for k, v := range a.ByKind {
		got["kind "+k] = v
	}
	for k, v := range a.ByWorker {
		got["worker "+k] = v
	}
	for k, v := range a.ByMethod {
		got["method "+string(k)] = v
	}
	for _, d := range a.Devices {
		got["device "+d.Host+" "+d.Meter] = d.MicroJ
		if d.Guessed != 0 {
			got["guessed "+d.Host+" "+d.Meter] = d.Guessed
		}
	}
	if len(got) != len(sums) || a.Readings != 400 {
		t.Errorf("%d sums of %d readings, want %d of 400", len(got), a.Readings, len(sums))
	}
	for name, want := range sums {
		if big.NewInt(got[name]).Cmp(want) != 0 {
			t.Errorf("%s: %d µJ, want %d", name, got[name], want)
		}
	}
	if want := float64(a.Guessed) / float64(a.Total); float64(a.Share) != want {
		t.Errorf("guessed share %v, want %v", a.Share, want)
	}
}

// TestConservation takes one microjoule from each division in turn.
func TestConservation(t *testing.T) {
	for name, steal := range map[string]func(a *Account){
		"total": func(a *Account) { a.Total-- }, "phase": func(a *Account) { a.ByPhase[energy.Idle]-- },
		"host": func(a *Account) { a.ByHost["host-w0"]-- }, "kind": func(a *Account) { a.ByKind["cpu"]-- },
		"method": func(a *Account) { a.ByMethod[energy.Counter]-- }, "worker": func(a *Account) { a.ByWorker["w0"]-- },
		"device":     func(a *Account) { a.Devices[0].MicroJ-- },
		"other host": func(a *Account) { a.ByHost["host-w0"]--; a.ByHost["host-w1"]++ },
	} {
		sum := newTally()
		sum.add(reading("w0", "cpu", 1, 100))
		sum.add(reading("w1", "cpu", 1, 50))
		a, err := sum.finish()
		if err != nil {
			t.Fatal(err)
		}
		steal(a)
		if a.checkSums() == nil {
			t.Errorf("a µJ less of the %s is not seen", name)
		}
	}
}

// TestSteps counts steps that are committed more than once, as after a resume.
// The oracle knows every step by itself.
func TestSteps(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for range 100 {
		sum, had, repeated := newTally(), map[uint64]bool{}, uint64(0)
		for range 12 {
			first := 1 + r.Uint64N(40)
			s := &Steps{FirstStep: first, LastStep: first + r.Uint64N(12), Loss: number.Float(r.Float64())}
			n := s.LastStep - s.FirstStep + 1
			s.Samples, s.Tokens = 32*n, 4096*n
			for step := s.FirstStep; step <= s.LastStep; step++ {
				if had[step] {
					repeated++
				}
				had[step] = true
			}
			sum.add(Entry{Steps: s})
			a := &sum.account
			if n := uint64(len(had)); a.Steps != n || a.Samples != 32*n || a.Tokens != 4096*n || a.Repeated != repeated || sum.training.last != (StepLoss{s.LastStep, s.Loss}) {
				t.Fatalf("%d steps, %d again, %d samples, %d tokens; want %d, %d again", a.Steps, a.Repeated, a.Samples, a.Tokens, n, repeated)
			}
		}
	}
}

func TestCarbon(t *testing.T) {
	factor := func(host string, grams, pue float64) Entry {
		return Entry{Carbon: &energy.Factor{Host: host, GramsPerKWh: grams, PUE: pue, Origin: "test"}}
	}
	kWh := int64(3.6e12) // µJ
	for name, c := range map[string]struct {
		entries []Entry
		grams   float64 // negative: unknown
		factors int
	}{
		"no factor":                {nil, -1, 0},
		"one for all":              {[]Entry{factor("", 100, 1.5)}, 3 * 150, 1},
		"the newest counts":        {[]Entry{factor("", 999, 1), factor("", 100, 1)}, 300, 1},
		"a host of its own":        {[]Entry{factor("host-w1", 10, 1), factor("", 100, 1)}, 100 + 2*10, 2},
		"none for one of two":      {[]Entry{factor("host-w1", 10, 1)}, -1, 0},
		"each its own":             {[]Entry{factor("host-w1", 10, 1), factor("host-w0", 1, 2)}, 20 + 2, 2},
		"of a host that has none":  {[]Entry{factor("elsewhere", 10, 1), factor("", 100, 1)}, 300, 1},
		"the newest of a host too": {[]Entry{factor("host-w1", 10, 1), factor("", 100, 1), factor("host-w1", 20, 1)}, 140, 2},
	} {
		sum := newTally()
		sum.add(reading("w0", "cpu", 1, kWh))
		sum.add(reading("w1", "cpu", 1, 2*kWh))
		for _, e := range c.entries {
			sum.add(e)
		}
		a, err := sum.finish()
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case c.grams < 0 && a.Carbon != nil:
			t.Errorf("%s: %+v, want none", name, a.Carbon)
		case c.grams >= 0 && (a.Carbon == nil || math.Abs(float64(a.Carbon.Grams)-c.grams) > 1e-9 || len(a.Carbon.Factors) != c.factors):
			t.Errorf("%s: %+v, want %v g by %d factors", name, a.Carbon, c.grams, c.factors)
		}
	}
}

func TestReport(t *testing.T) {
	o := testOptions(t)
	l := mustOpen(t, o)
	mustAppend(t, l, everyType()...)
	mustAppend(t, l, reading("w0", "cpu", 3, 7_200_000_000), reading("w1", "memory", 2, 540_000_000_000))
	tree := l.Head().Tree()
	if err := l.Resume(4, &tree); err != nil {
		t.Fatal(err)
	}
	a := mustVerify(t, o.Dir)
	want := `run run-1: 12 entries, 2026-03-01 12:00:01 to 2026-03-01 12:00:12 UTC

energy                    152.0008 Wh  100.0 %  99 % estimated
  compute                  50.6669 Wh   33.3 %
  idle                    101.3339 Wh   66.7 %
of it wasted                0.0000 Wh    0.0 %
by method: counter          2.0008 Wh    1.3 %
by method: estimated      150.0000 Wh   98.7 %
host host-w0, cpu           2.0008 Wh    1.3 %
host host-w1, memory      150.0000 Wh   98.7 %  estimated
devices: memory           150.0000 Wh   98.7 %
devices: cpu                2.0008 Wh    1.3 %
by process: w1            150.0000 Wh   98.7 %
by process: w0              2.0008 Wh    1.3 %

carbon: 8.36 gCO2e, 99 % estimated
  44 g/kWh (FRA), PUE 1.25: Ember 2024

gaps: 1, in which meters gave nothing for 2.0 s
  cpu of w0, 2.0 s: the counter could not be read (entry 4)

training: 4 steps, 128 samples, 16384 tokens
loss (MLM + NSP) of step 4 alone: 10.2500
membership: 1 change, the newest generation is 1
resumed at step 4 (entry 11): proven to continue the ledger of 11 entries that the checkpoint knew
build: gramme test, steps 1 to 4

checkpoints
  step 4 in step-00000004, manifest abababababab, entry 6

notes
  remark: a <remark> with “marks” & ` + "\u2028" + ` (entry 8)
`
	if got := a.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}

	b, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	var again Account
	if err := json.Unmarshal(b, &again); err != nil {
		t.Fatal(err)
	}
	again.counted = a.counted // for Holds, not for readers
	if !reflect.DeepEqual(*a, again) {
		t.Errorf("JSON gives\n%+v, not\n%+v", again, *a)
	}
	for _, key := range []string{`"total_uj":547203000008`, `"guessed_share":`, `"g_co2e":`, `"manifest_sha256":`, `"wasted_uj":0`} {
		if !strings.Contains(string(b), key) {
			t.Errorf("no %s in %s", key, b)
		}
	}
}

func TestReportOfAnEmptyRun(t *testing.T) {
	o := testOptions(t)
	mustOpen(t, o)
	a := mustVerify(t, o.Dir)
	text := a.String()
	for _, want := range []string{"carbon: unknown", "gaps: none", "0 steps"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if b, err := json.Marshal(a); err != nil || strings.Contains(string(b), "null") {
		t.Errorf("%s %v", b, err)
	}
}
