package chaos

import (
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gramme-project/gramme/runspec"
)

func TestParsePlan(t *testing.T) {
	p, err := ParsePlan("plan.yaml", []byte(`
seed: 9
faults: 5
workers: 2:4
config: base.yaml
gap: 100ms:2s
whole: true
patience: 30s
run:
  steps: 600
  batch: {rows: 2}
kinds:
  kill-worker: 3
  drain: 1
`))
	if err != nil {
		t.Fatal(err)
	}
	if p.Seed != 9 || p.Faults != 5 || p.Workers != (runspec.Workers{Min: 2, Max: 4}) || p.Config != "base.yaml" || !p.Whole ||
		p.Gap != (Range{100 * time.Millisecond, 2 * time.Second}) || p.Patience != 30*time.Second {
		t.Errorf("%+v", p)
	}
	if !reflect.DeepEqual(p.Weights, map[Kind]int{KillWorker: 3, Drain: 1}) {
		t.Errorf("weights %v", p.Weights)
	}
	if len(p.Settings) != 2 || p.Settings[0].Key.Name != "steps" || p.Settings[1].Key.Name != "batch.rows" {
		t.Errorf("settings %+v", p.Settings)
	}
	if p, err := ParsePlan("empty.yaml", nil); err != nil || !reflect.DeepEqual(p, Default()) {
		t.Errorf("an empty plan: %+v, %v", p, err)
	}
	if p, err := ParsePlan("long.yaml", []byte("duration: 1m\ngap: 1s")); err != nil || p.Count() != 30 {
		t.Errorf("a minute of faults: %d, %v", p.Count(), err)
	}
	if p, err := ParsePlan("fixed.yaml", []byte("workers: 2")); err != nil || p.weight(Drain) != 0 || p.weight(KillWorker) == 0 {
		t.Errorf("always two workers: %v, %v", p, err)
	}
}

func TestParsePlanMistakes(t *testing.T) {
	for text, wants := range map[string][]string{
		"fault: 3":                                          {`plan.yaml:1: unknown key "fault": did you mean "faults"?`},
		"a-long-word: 3":                                    {`unknown key "a-long-word": there are `},
		"seed: 1\nseed: 2":                                  {`plan.yaml:2: key "seed" is given twice`},
		"seed:\nwhole: often\npatience: 3":                  {`plan.yaml:1: key "seed" holds one value`, `plan.yaml:2: whole: "often" is neither`, `plan.yaml:3: patience: "3" is no time`},
		"kinds: {drain: 1, drain: 2}":                       {`key "kinds.drain" is given twice`},
		"seed: [1]":                                         {`key "seed" holds one value`},
		"seed: x\nworkers: 0\ngap: soon":                    {`plan.yaml:1: seed: "x" is no whole number`, "plan.yaml:2: workers: 0: at least one", "plan.yaml:3: gap: "},
		"kinds: {kill-workers: 1}":                          {`unknown kind "kill-workers": did you mean "kill-worker"?`},
		"kinds: {drain: many}":                              {`kinds.drain: "many" is no whole number`},
		"kinds: {drain: -1, kill-worker: 1}":                {"weight -1 is negative"},
		"kinds: {drain: 0}":                                 {"no kind of fault has a weight"},
		"kinds: [drain]":                                    {"kinds is a list of kind: weight"},
		"workers: 2\nkinds: {drain: 1}":                     {"with always 2 workers none can come or go"},
		"kinds: {etcd-away: 1}":                             {"etcd and NATS live in `gramme up`"},
		"services: elsewhere":                               {`services: "elsewhere" is neither embedded nor cluster`},
		"services: cluster\nkinds: {etcd-away: 1, cuts: 1}": {`plan.yaml:2: unknown kind "cuts"`},
		"faults: 0":                                         {"one of them has to be above 0"},
		"faults: 3\nduration: 1m":                           {"faults and duration are two ways"},
		"gap: 2s:1s":                                        {"is no span of time"},
		"patience: 0s":                                      {"patience: 0s is not above 0"},
		"\nrun:\n  batch: {row: 2}":                         {`plan.yaml:3: unknown key "batch.row": did you mean "batch.rows"?`},
		"run: {workers: 3}":                                 {"run.workers is not for a plan to set"},
		"- seed":                                            {"a plan is a list of key: value"},
		"seed: [1":                                          {"read plan plan.yaml: yaml"},
	} {
		_, err := ParsePlan("plan.yaml", []byte(text))
		for _, want := range wants {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%q: %v, not %q", text, err, want)
			}
		}
	}
}

func FuzzParsePlan(f *testing.F) {
	f.Add([]byte("seed: 1\nkinds: {drain: 1}\nrun: {steps: 3}"))
	f.Add([]byte("gap: 1s:2s\nworkers: 1:9\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := ParsePlan("plan.yaml", text)
		if err == nil && p.Validate() != nil {
			t.Errorf("%q gives a plan that is not valid: %v", text, p.Validate())
		}
	})
}

func TestDraw(t *testing.T) {
	p := Default()
	p.Services = Cluster
	p.Faults = 2000
	all := Draw(p)
	if !reflect.DeepEqual(all, Draw(p)) {
		t.Error("one seed gave two sequences of faults")
	}
	shorter := p
	shorter.Faults = 7
	if !reflect.DeepEqual(all[:7], Draw(shorter)) {
		t.Error("a longer plan does not begin with the faults of a shorter one")
	}
	other := p
	other.Seed++
	if reflect.DeepEqual(all, Draw(other)) {
		t.Error("two seeds gave the same faults")
	}
	counts, crashes, total := map[Kind]int{}, map[string]int{}, 0
	for _, f := range all {
		counts[f.Kind]++
		if f.Gap < p.Gap.Min || f.Gap > p.Gap.Max {
			t.Fatalf("gap %s", f.Gap)
		}
		if name, by := f.signal(); f.Kind.is(crash) == (by == syscall.SIGKILL) {
			t.Fatalf("%s by %s", f.Kind, name)
		} else if f.Kind.is(crash) {
			crashes[name]++
		}
		held := f.Kind.is(freeze|cut) || f.Kind.serves() != ""
		short, long := f.Kind == FreezeShort || f.Kind == CutShort, f.Kind == FreezeLong || f.Kind == CutLong || f.Kind == CutOneWay
		if (f.Hold > 0) != held || short && f.Hold >= 1 || long && f.Hold <= 1 {
			t.Fatalf("%s for %g failure timeouts", f.Kind, f.Hold)
		}
	}
	if len(crashes) != len(crashSignals) {
		t.Errorf("crashes by %v", crashes)
	}
	for _, k := range kinds {
		total += k.weight
	}
	for _, k := range kinds {
		want := float64(k.weight) / float64(total) * float64(len(all))
		if got := float64(counts[k.kind]); got < 0.6*want || got > 1.4*want {
			t.Errorf("%d times %s, about %.0f expected", counts[k.kind], k.kind, want)
		}
	}
	p.Services = Embedded
	for _, f := range Draw(p) {
		if f.Kind.serves() != "" {
			t.Fatalf("%s, but etcd and NATS are in gramme up", f.Kind)
		}
	}
	p.Weights = map[Kind]int{Drain: 1}
	for _, f := range Draw(p) {
		if f.Kind != Drain {
			t.Fatalf("%s has no weight", f.Kind)
		}
	}
}

func TestFit(t *testing.T) {
	p := Default()
	p.Workers = runspec.Workers{Min: 1, Max: 3}
	for _, c := range []struct {
		kind Kind
		ring int
		want Kind
		to   []int
	}{
		{Drain, 1, ScaleUp, []int{2, 3}},
		{Drain, 2, Drain, []int{0}},
		{ScaleDown, 1, ScaleUp, []int{2, 3}},
		{ScaleDown, 3, ScaleDown, []int{1, 2}},
		{ScaleUp, 3, ScaleDown, []int{1, 2}},
		{ScaleUp, 2, ScaleUp, []int{3}},
		{KillWorker, 1, KillWorker, []int{0}},
	} {
		seen := map[int]bool{}
		for pick := range uint64(8) {
			f, to := p.fit(Fault{Kind: c.kind, Pick: pick}, c.ring)
			if f.Kind != c.want {
				t.Errorf("%s of %d workers became %s", c.kind, c.ring, f.Kind)
			}
			seen[to] = true
		}
		for _, to := range c.to {
			if !seen[to] {
				t.Errorf("%s of %d workers never goes to %d", c.kind, c.ring, to)
			}
		}
		if len(seen) != len(c.to) {
			t.Errorf("%s of %d workers goes to %v, not to %v", c.kind, c.ring, seen, c.to)
		}
	}
}
