package shells

import (
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

var tryMistakes = flag.Bool("mistakes", false, "build every deliberate mistake into a shell, and see that seeds find it: takes minutes")

// mistakes are deliberate: each replaces a text of a shell, which stands there once.
var mistakes = []struct {
	name, file, right, wrong string
	seeds                    int
}{
	{
		"a worker does not leave the ring of an older generation",
		"worker/ring.go", "w.ring.cancel()\n\t<-w.ring.ended\n", "", 50,
	},
	{
		"a worker registers again as the incarnation that was left out",
		"worker/register.go", "w.reg.Incarnation, w.reg.Mailbox = newIncarnation(), w.cfg.Links.URL()",
		"if w.reg.Incarnation == \"\" {\n\tw.reg.Incarnation = newIncarnation()\n}\nw.reg.Mailbox = w.cfg.Links.URL()", 200,
	},
	{
		"a donor gives the entry before the one that it is asked for",
		"worker/serve.go", "s.EntryAt(w.now(), number)", "s.EntryAt(w.now(), number-1)", 100,
	},
	{
		"a worker ends before its last checkpoint is stored",
		"worker/save.go", "a = upload.Answer{Info: stored.Info, Err: stored.Err}",
		"stored.Info.Found, stored.Info.Step = true, w.cfg.Spec.Steps\na = upload.Answer{Info: stored.Info}", 100,
	},
	{
		"a worker does not notice that its registration is gone",
		"worker/worker.go", "lost = w.lease.Lost()", "lost = nil", 200,
	},
	{
		"events that reach nobody count as acknowledged",
		"coordinator/outbox.go", "err := o.send(ctx, batch)\n", "_ = o.send(ctx, batch)\n\t\tvar err error\n", 200,
	},
	{
		"the folder of a checkpoint is not synced",
		"checkpoint/stage.go", "return m, sha256Hex(b), vfs.SyncDir(s.disk, dir)", "return m, sha256Hex(b), nil", 200,
	},
}

// TestDeliberateMistakesAreFound shows that the oracles bite.
func TestDeliberateMistakesAreFound(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range mistakes {
		t.Run(m.name, func(t *testing.T) {
			path := filepath.Join(root, m.file)
			source, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if n := strings.Count(string(source), m.right); n != 1 {
				t.Fatalf("%s: the text that the mistake replaces stands there %d times", m.file, n)
			}
			if !*tryMistakes {
				t.Skip("-mistakes builds it")
			}
			dir := t.TempDir()
			mistaken, overlay := filepath.Join(dir, "mistaken.go"), filepath.Join(dir, "overlay.json")
			b, err := json.Marshal(map[string]map[string]string{"Replace": {path: mistaken}})
			if err != nil {
				t.Fatal(err)
			}
			for name, content := range map[string]string{mistaken: strings.Replace(string(source), m.right, m.wrong, 1), overlay: string(b)} {
				if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			build := exec.Command("go", "test", "-c", "-overlay", overlay, "-o", filepath.Join(dir, "trial"), ".")
			if out, err := build.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			out, err := exec.Command(filepath.Join(dir, "trial"), "-test.timeout=5m", "-test.run=TestSeeds$", "-seeds="+strconv.Itoa(m.seeds)).CombinedOutput()
			if err == nil {
				t.Fatalf("%d seeds did not find it", m.seeds)
			}
			for line := range strings.Lines(string(out)) {
				if strings.Contains(line, "seed ") || strings.Contains(line, "panic:") || strings.Contains(line, "deadlock") {
					t.Log(strings.TrimSpace(line))
					break
				}
			}
		})
	}
}
