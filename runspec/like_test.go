package runspec

import (
	"slices"
	"testing"
)

// settingsOf are all that a run's spec holds, as another run begins with them.
func settingsOf(t *testing.T, s Spec) []Setting {
	t.Helper()
	b, err := s.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(yamlOf(t, string(b)), func(s Setting) bool { return s.Key.Name == "run_id" })
}

// Settings that are given for a new run override those of the run that it takes after,
// key by key.
func TestWhatIsGivenBeatsTheSettingsOfAnotherRun(t *testing.T) {
	like := mustNew(t, []Setting{flag(t, "model", "small"), flag(t, "precision", "bf16"), flag(t, "steps", "77"), flag(t, "threads", "3"), flag(t, "stop_on_divergence", "never")})
	for _, k := range Keys() {
		value := otherValues[k.Name]
		if k.Name == "model.name" {
			value = "mini"
		}
		// Not every value is valid beside the others; which one counts shows all the same.
		got, origins, _ := New(settingsOf(t, like), nil, nil, []Setting{flag(t, k.Name, value)})
		want := like
		if err := k.set(&want, []string{value}); err != nil {
			t.Fatal(err)
		}
		if got.Text(k) != want.Text(k) || origins[k.Name] != "--"+k.Flag() {
			t.Errorf("%s is %q from %s, and %q was given", k.Name, got.Text(k), origins[k.Name], want.Text(k))
		}
	}
}

// A model that is given has its own shape, not that of the run that another begins
// with; sizes that are given beside it count, too.
func TestAModelThatIsGivenHasItsOwnShape(t *testing.T) {
	like := settingsOf(t, mustNew(t, []Setting{flag(t, "model", "tiny"), flag(t, "model.layers", "3"), flag(t, "steps", "77"), flag(t, "dropout", "0.25")}))
	mini := mustNew(t, []Setting{flag(t, "model", "mini")}).Model
	deep := mini
	deep.Layers = 7
	threeTiny := mustNew(t, []Setting{flag(t, "model", "tiny"), flag(t, "model.layers", "3")}).Model
	threeMini := mini
	threeMini.Layers = 3
	for name, c := range map[string]struct {
		layers [][]Setting
		want   Model
	}{
		"another model":                   {[][]Setting{like, {flag(t, "model", "mini")}}, mini},
		"by the environment":              {[][]Setting{like, Environment([]string{"GRAMME_MODEL=mini"}), nil}, mini},
		"by a file":                       {[][]Setting{like, yamlOf(t, "model: mini"), nil}, mini},
		"another model with a size":       {[][]Setting{like, {flag(t, "model", "mini"), flag(t, "model.layers", "7")}}, deep},
		"the same name":                   {[][]Setting{like, {flag(t, "model", "tiny")}}, mustNew(t).Model},
		"a size alone":                    {[][]Setting{settingsOf(t, mustNew(t)), {flag(t, "model.layers", "3")}}, threeTiny},
		"no model":                        {[][]Setting{like, {flag(t, "seed", "3")}}, threeTiny},
		"a file's sizes without a name":   {[][]Setting{yamlOf(t, "model: {layers: 3}"), {flag(t, "model", "mini")}}, threeMini},
		"a file's model, another by flag": {[][]Setting{yamlOf(t, "model: {name: tiny, layers: 3}"), {flag(t, "model", "mini")}}, mini},
	} {
		got, _, err := New(c.layers...)
		if err != nil || got.Model != c.want {
			t.Errorf("%s: %+v, %v, want %+v", name, got.Model, err, c.want)
		}
	}
	// All else is the other run's.
	got := mustNew(t, like, []Setting{flag(t, "model", "mini")})
	if got.Steps != 77 || got.Dropout != 0.25 || got.Optimizer.LR != sizes["tiny"].lr {
		t.Errorf("%+v", got)
	}
}
