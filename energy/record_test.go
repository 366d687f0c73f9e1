package energy

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
)

func testSource() Source {
	return Source{Run: "r", Worker: "w0", Incarnation: "i", Host: "h", BootID: "b", Meter: "cpu", Kind: "cpu", Seq: 3}
}

// testReading is of a counter in units of a third of 1 µJ that wrapped once.
func testReading() *Reading {
	return &Reading{
		Source: testSource(), Method: Counter, Scope: Host, Span: Span{Start: 10, End: 20},
		Unit: "thirds", RawStart: 990, RawEnd: 21, Range: 1000, Wraps: 1, Num: 1, Den: 3, MicroJ: 10,
		Parts:   []Part{{Phase: Compute, MicroJ: 7, Nanos: 6}, {Phase: Idle, FirstStep: 2, LastStep: 3, MicroJ: 3, Nanos: 4}},
		Quality: []string{QualityWrapped},
	}
}

func testGap() *Gap {
	return &Gap{Source: testSource(), Span: Span{Start: 10, End: 20}, Reason: "unreadable"}
}

func TestValidateReading(t *testing.T) {
	for name, c := range map[string]struct {
		change func(r *Reading)
		why    string // empty: valid
	}{
		"as it is":                        {func(*Reading) {}, ""},
		"no time at all":                  {func(r *Reading) { r.End = r.Start }, ""},
		"an imputed one has no raw part":  {func(r *Reading) { r.Method, r.RawStart, r.RawEnd = Imputed, 5, 4 }, ""},
		"1 µJ more, from a remainder":     {func(r *Reading) { r.MicroJ++; r.Parts[0].MicroJ++; r.RawEnd++ }, ""},
		"1 µJ more, from nothing":         {func(r *Reading) { r.MicroJ++; r.Parts[0].MicroJ++; r.RawEnd-- }, "raw numbers give 10"},
		"1 µJ less":                       {func(r *Reading) { r.MicroJ--; r.Parts[0].MicroJ-- }, "raw numbers give 10"},
		"2 µJ more":                       {func(r *Reading) { r.MicroJ += 2; r.Parts[0].MicroJ += 2 }, "raw numbers give 10"},
		"no worker":                       {func(r *Reading) { r.Worker = "" }, "missing"},
		"no incarnation":                  {func(r *Reading) { r.Incarnation = "" }, "missing"},
		"no host":                         {func(r *Reading) { r.Source.Host = "" }, "missing"},
		"no meter":                        {func(r *Reading) { r.Meter = "" }, "missing"},
		"no kind":                         {func(r *Reading) { r.Kind = "" }, "missing"},
		"no number":                       {func(r *Reading) { r.Seq = 0 }, "begin with 1"},
		"a method of no name":             {func(r *Reading) { r.Method = "magic" }, "unknown method"},
		"a scope of no name":              {func(r *Reading) { r.Scope = "" }, "unknown scope"},
		"backwards":                       {func(r *Reading) { r.End = 9 }, "ends before"},
		"negative":                        {func(r *Reading) { r.MicroJ = -1 }, "negative"},
		"no numerator":                    {func(r *Reading) { r.Num = 0 }, "no conversion"},
		"no denominator":                  {func(r *Reading) { r.Den = 0 }, "no conversion"},
		"a part missing":                  {func(r *Reading) { r.Parts = r.Parts[:1] }, "add up to 7 µJ, not to 10"},
		"a part of no phase":              {func(r *Reading) { r.Parts[1].Phase = "" }, "part 1: unknown phase"},
		"a negative part":                 {func(r *Reading) { r.Parts[0].MicroJ, r.Parts[1].MicroJ = 11, -1 }, "part 1: negative"},
		"a part of negative time":         {func(r *Reading) { r.Parts[0].Nanos = -1 }, "part 0: negative"},
		"a part whose steps run backward": {func(r *Reading) { r.Parts[1].LastStep = 1 }, "part 1: steps"},
		"parts that overflow":             {func(r *Reading) { r.Parts[0].MicroJ = math.MaxInt64 }, "part 1: sum overflows"},
		"a fall without a wrap":           {func(r *Reading) { r.Wraps = 0 }, "not a difference"},
		"a wrap without a range":          {func(r *Reading) { r.Range = 0 }, "not a difference"},
		"raw numbers beyond 64 bits":      {func(r *Reading) { r.Num = math.MaxUint64 }, "overflows"},
	} {
		r := testReading()
		c.change(r)
		checkError(t, name, r.Validate(), c.why)
		checkError(t, name, Record{Reading: r}.Validate(), c.why)
	}
}

func TestValidateGap(t *testing.T) {
	for name, c := range map[string]struct {
		change func(g *Gap)
		why    string
	}{
		"as it is":       {func(*Gap) {}, ""},
		"no worker":      {func(g *Gap) { g.Worker = "" }, "missing"},
		"no number":      {func(g *Gap) { g.Seq = 0 }, "begin with 1"},
		"backwards":      {func(g *Gap) { g.End = 9 }, "ends before"},
		"steps backward": {func(g *Gap) { g.FirstStep = 1 }, "steps run backwards"},
		"no reason":      {func(g *Gap) { g.Reason = "" }, "no reason"},
	} {
		g := testGap()
		c.change(g)
		checkError(t, name, g.Validate(), c.why)
		checkError(t, name, Record{Gap: g}.Validate(), c.why)
	}
}

func TestRecord(t *testing.T) {
	checkError(t, "nothing", Record{}.Validate(), "neither")
	checkError(t, "both", Record{Reading: testReading(), Gap: testGap()}.Validate(), "or both")
	want := Key{"w0", "i", "cpu", 3}
	if got := (Record{Reading: testReading()}).Source().Key(); got != want {
		t.Errorf("key of a reading %+v", got)
	}
	if got := (Record{Gap: testGap()}).Source().Key(); got != want {
		t.Errorf("key of a gap %+v", got)
	}
	if got := (Record{}).Source(); got != (Source{}) {
		t.Errorf("source of nothing %+v", got)
	}
	if got := (Span{Start: 5e8, End: 3e9}).Seconds(); got != 2.5 {
		t.Errorf("%v s, want 2.5", got)
	}
}

func checkError(t *testing.T, name string, err error, why string) {
	t.Helper()
	switch {
	case why == "" && err != nil:
		t.Errorf("%s: %v", name, err)
	case why != "" && (err == nil || !strings.Contains(err.Error(), why)):
		t.Errorf("%s: got %v, want one that says %q", name, err, why)
	}
}

// FuzzRecord: whatever is valid adds up, and is the same after JSON.
func FuzzRecord(f *testing.F) {
	for _, r := range []Record{{Reading: testReading()}, {Gap: testGap()}, {}} {
		b, err := json.Marshal(r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var r Record
		if json.Unmarshal(b, &r) != nil || r.Validate() != nil {
			return
		}
		if r.Source().Seq == 0 || r.Source().Worker == "" {
			t.Errorf("%s is valid without a source", b)
		}
		if r.Reading != nil {
			var sum int64
			for _, p := range r.Reading.Parts {
				if sum += p.MicroJ; p.MicroJ < 0 || sum < 0 {
					t.Errorf("%s is valid with a part of %d µJ", b, p.MicroJ)
				}
			}
			if sum != r.Reading.MicroJ {
				t.Errorf("%s is valid: %d µJ in parts of %d", b, r.Reading.MicroJ, sum)
			}
		}
		again, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		var same Record
		if err := json.Unmarshal(again, &same); err != nil || same.Validate() != nil {
			t.Errorf("%s is valid, but not as %s (%v)", b, again, err)
		}
	})
}
