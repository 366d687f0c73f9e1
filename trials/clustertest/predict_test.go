//go:build cgo

package clustertest

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestPredict fills the blanks of a text by the model that a run has trained.
func TestPredict(t *testing.T) {
	t.Parallel()
	s := copyOf(t, calm(t))
	const blank = "The worker [MASK] the weights."
	out := s.must("predict", "--run", "run", blank)
	if guesses := regexp.MustCompile(`(?m)^ +\d+\.\d%  \S+$`).FindAllString(out, -1); !strings.HasPrefix(out, blank) || len(guesses) != 5 {
		t.Errorf("no five guesses in:\n%s", out)
	}
	latest := filepath.Join("run", "checkpoints", "latest")
	if other := s.must("predict", "--model", latest, blank); other != out {
		t.Errorf("--model says\n%s\n--run\n%s", other, out)
	}

	var p struct {
		Text  string
		Masks [][]struct {
			Token       string
			Probability float64
		}
	}
	if err := json.Unmarshal([]byte(s.must("predict", "--json", "--top", "3", "--run", "run", "[MASK] ring [MASK]")), &p); err != nil {
		t.Fatal(err)
	}
	if len(p.Masks) != 2 || len(p.Masks[0]) != 3 || p.Masks[0][0].Probability < p.Masks[0][1].Probability || p.Masks[0][0].Probability <= 0 {
		t.Errorf("predicted %+v", p)
	}

	cmd := s.command("predict", "--run", "run", "--json", "-")
	cmd.Stdin = strings.NewReader(blank + "\nA [MASK].\n")
	r := s.start(cmd).wait()
	s.want(r, 0)
	if n := strings.Count(r.out, "\n"); n != 2 {
		t.Errorf("%d lines for two texts:\n%s", n, r.out)
	}

	s.want(s.gramme("predict", "--run", "run", "Nothing to guess."), 2, "no [MASK] in", "hint: write [MASK]")
	s.want(s.gramme("predict", "--run", "run", strings.Repeat("word ", 40)+"[MASK]"), 2, "the model takes 32", "hint: shorten it")
	s.want(s.gramme("predict", "--run", "nowhere", blank), 2, "nowhere", "hint: name a run with --run")
	s.want(s.gramme("predict", "--model", corpus, blank), 2, corpus, "hint: ")
	s.want(s.gramme("predict", "--run", "run", "--top", "0", blank), 2, "--top")
	s.want(s.gramme("predict", "--run", "run"), 2, "hint: ")
	s.want(s.gramme("predict", "--no-such-flag", blank), 2, "hint: ")

	// The newest checkpoint is damaged: nothing is answered from it.
	model := filepath.Join(s.dir, latest, "model.safetensors")
	b, err := os.ReadFile(model)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.WriteFile(model, b, 0o644); err != nil {
		t.Fatal(err)
	}
	s.want(s.gramme("predict", "--run", "run", blank), 4, "model.safetensors: its SHA-256 is not that of the manifest", "hint: ")
	s.want(s.gramme("predict", "--model", latest, blank), 4, "model.safetensors: its SHA-256 is not that of the manifest", "hint: ")
}
