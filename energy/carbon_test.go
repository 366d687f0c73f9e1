package energy

import (
	"math"
	"testing"
)

func TestNewFactor(t *testing.T) {
	for name, c := range map[string]struct {
		country        string
		intensity, pue float64
		want           Factor
		why            string
	}{
		"a country":                {"FRA", 0, 0, Factor{Country: "FRA", GramsPerKWh: 44, Year: 2024, PUE: 1, Origin: Licence}, ""},
		"in small letters":         {"fra", 0, 1.5, Factor{Country: "FRA", GramsPerKWh: 44, Year: 2024, PUE: 1.5, Origin: Licence}, ""},
		"an older year":            {"UKR", 0, 1, Factor{Country: "UKR", GramsPerKWh: 250, Year: 2022, PUE: 1, Origin: Licence}, ""},
		"none: the world":          {"", 0, 0, Factor{GramsPerKWh: 473, Year: 2024, PUE: 1, Origin: Licence}, ""},
		"given":                    {"", 12.5, 0, Factor{GramsPerKWh: 12.5, PUE: 1, Origin: "given in the configuration"}, ""},
		"given for a country":      {"USA", 12.5, 0, Factor{Country: "USA", GramsPerKWh: 12.5, PUE: 1, Origin: "given in the configuration"}, ""},
		"given, country not known": {"XYZ", 12.5, 0, Factor{Country: "XYZ", GramsPerKWh: 12.5, PUE: 1, Origin: "given in the configuration"}, ""},
		"not known":                {"XYZ", 0, 0, Factor{}, `country "XYZ"`},
		"two letters":              {"FR", 0, 0, Factor{}, `country "FR"`},
		"negative":                 {"", -1, 0, Factor{}, "no grid intensity"},
		"not a number":             {"", math.NaN(), 0, Factor{}, "no grid intensity"},
		"infinite":                 {"", math.Inf(1), 0, Factor{}, "no grid intensity"},
		"less than the machines":   {"FRA", 0, 0.5, Factor{}, "below 1"},
		"a PUE that is no number":  {"FRA", 0, math.NaN(), Factor{}, "below 1"},
	} {
		got, err := NewFactor(c.country, c.intensity, c.pue)
		checkError(t, name, err, c.why)
		if err == nil && got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
	checkError(t, "without a source", Factor{GramsPerKWh: 1, PUE: 1}.Validate(), "no source")
}

func TestCountries(t *testing.T) {
	if len(grids()) < 50 {
		t.Errorf("%d countries", len(grids()))
	}
	for code := range grids() {
		f, err := NewFactor(code, 0, 0)
		if err != nil || f.Year < 2020 || f.GramsPerKWh < 20 || f.GramsPerKWh > 900 {
			t.Errorf("%s: %+v, %v", code, f, err)
		}
		if len(code) != 3 && code != "EU" && code != WorldMean {
			t.Errorf("%q is no ISO code of three letters", code)
		}
	}
}

// TestGrams follows kgCO2e = J / 3.6e6 × PUE × g/kWh / 1000.
func TestGrams(t *testing.T) {
	f := Factor{GramsPerKWh: 384, PUE: 1.25, Origin: "test"}
	const joules = 123_456_789.0
	want := joules / 3.6e6 * 1.25 * 384
	if got := f.Grams(joules * 1e6); math.Abs(got-want) > want*1e-12 {
		t.Errorf("%v g, want %v", got, want)
	}
	if got := WattHours(3_600_000_000); got != 1 {
		t.Errorf("3600 J are %v Wh", got)
	}
	if got := Joules(1_500_000); got != 1.5 {
		t.Errorf("%v J", got)
	}
}

func TestNames(t *testing.T) {
	seen := map[string]bool{}
	wasted, guesses := 0, 0
	for _, p := range Phases() {
		if !p.Valid() || seen[string(p)] {
			t.Errorf("phase %q", p)
		}
		seen[string(p)] = true
		if p.Wasted() {
			wasted++
		}
	}
	for _, m := range Methods() {
		if !m.Valid() || seen[string(m)] {
			t.Errorf("method %q", m)
		}
		seen[string(m)] = true
		if m.Guess() {
			guesses++
		}
	}
	if wasted != 3 || guesses != 2 || len(seen) != 16 {
		t.Errorf("%d names, %d phases are waste, %d methods guesses", len(seen), wasted, guesses)
	}
	if Phase("").Valid() || Method("").Valid() || Scope("").Valid() || !Process.Valid() || !Host.Valid() {
		t.Error("a name that is none is valid, or the reverse")
	}
	Phases()[0] = "changed"
	if Phases()[0] != Compute {
		t.Error("the list of phases can be changed from outside")
	}
}
