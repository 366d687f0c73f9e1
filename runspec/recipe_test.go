package runspec

import (
	"math"
	"os"
	"strings"
	"testing"
)

// What a user gives stays; everything else that belongs to the recipe is chosen, by
// what was given, and says so.
func TestARecipeChoosesWhatIsNotGiven(t *testing.T) {
	given := []Setting{flag(t, "batch.rows", "32"), flag(t, "masking.probability", "0.5")}
	for _, recipe := range []string{RecipeAuto, RecipeBERT} {
		plain, from, err := New([]Setting{flag(t, "recipe", recipe)})
		if err != nil {
			t.Fatal(err)
		}
		s, origins, err := New([]Setting{flag(t, "recipe", recipe)}, given)
		if err != nil {
			t.Fatal(err)
		}
		if s.Batch.Rows != 32 || s.Masking.Probability != 0.5 || s.Masking.MaxPredictions != 64 {
			t.Errorf("%s: %+v", recipe, s)
		}
		if origins.Given("optimizer.lr") || !origins.Given("batch.rows") || origins["dropout"] != "recipe "+recipe || from["batch.rows"] != "recipe "+recipe {
			t.Errorf("%s: origins %v", recipe, origins)
		}
		for key, origin := range from {
			if k, _ := LookUp(key); origin == "default" && plain.Text(k) == "" && k.Identity {
				t.Errorf("%s: %s has no value", recipe, key)
			}
		}
	}
}

// The paper's recipe is the paper's, whatever the model.
func TestTheRecipeOfThePaper(t *testing.T) {
	for _, name := range []string{"tiny", "small", "base", "large"} {
		s := mustNew(t, []Setting{flag(t, "model", name), flag(t, "recipe", "bert")})
		o := s.Optimizer
		if n := s.Batch.Rows * s.Batch.MicroBatches; n != 256 || o.LR != 1e-4 || o.Beta1 != 0.9 || o.Beta2 != 0.999 || o.WeightDecay != 0.01 ||
			s.Dropout != 0.1 || s.Masking.Probability != 0.15 || s.Masking.MaxPredictions != 20 || s.Model.InitStd != 0.02 || s.Model.PositionInit != "normal" {
			t.Errorf("%s: %d sequences, %+v", name, n, s)
		}
	}
}

// A run keeps the values with which it began, in its spec as plain values, and a resumed
// run does not choose again.
func TestAResumedRunKeepsItsValues(t *testing.T) {
	stored := mustNew(t, []Setting{flag(t, "steps", "50"), flag(t, "model", "mini")})
	stored.Optimizer.LR, stored.Masking.FinalProbability = 0.123, 0.2 // of another version of the recipe
	b, err := stored.Encode()
	if err != nil {
		t.Fatal(err)
	}
	read, err := Decode("spec.yaml", b)
	if err != nil {
		t.Fatal(err)
	}
	s, _, err := Resume(read, "spec.yaml", []Setting{flag(t, "model", "mini")})
	if err != nil || s.Hash() != stored.Hash() || s.Optimizer.LR != 0.123 || s.Masking.FinalProbability != 0.2 {
		t.Errorf("%v: %+v", err, s)
	}
}

// A spec that was written before the newest keys is read as what it meant, and keeps its
// hash: the run resumes.
func TestAnOlderSpecKeepsItsHash(t *testing.T) {
	b, err := os.ReadFile("testdata/before_recipes.yaml")
	if err != nil {
		t.Fatal(err)
	}
	s, err := Decode("spec.yaml", b)
	if err != nil {
		t.Fatal(err)
	}
	// As computed by the version that wrote the spec.
	if got, want := s.Hash(), "aa7982ef5698f80cff4a9763fe8bd7638964208a55183a9568a43ffe65657e5e"; got != want {
		t.Errorf("hash %s, want %s", got, want)
	}
	if s.Optimizer.Decay != 1 || s.Masking.FinalProbability != 0 {
		t.Errorf("%+v", s)
	}
	for _, k := range Keys() {
		if k.absent != "" && (!k.Identity || strings.Contains(string(b), "\n"+k.Name+":")) {
			t.Errorf("%s: a value for older specs has no use", k.Name)
		}
	}
}

// Every budget and width gives a usable spec.
func TestEveryBudgetHasARecipe(t *testing.T) {
	for _, steps := range []string{"1", "100", "2000", "100000", "10000000"} {
		for _, hidden := range []string{"8", "128", "768", "4096"} {
			s := mustNew(t, []Setting{flag(t, "steps", steps), flag(t, "model.hidden_size", hidden)})
			if o := s.Optimizer; !(o.LR > 0 && o.LR < 0.1 && o.Beta2 > 0 && o.Beta2 < 1) || math.IsNaN(s.Model.InitStd) {
				t.Errorf("%s steps, width %s: %+v", steps, hidden, s)
			}
		}
	}
}
