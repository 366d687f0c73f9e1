//go:build cgo

package clustertest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// What all tests share, made by TestMain.
var (
	root   string // removed at the end; its path is short, for unix sockets
	binary string // the program under test, with the worker's beside it
	corpus string // a folder of text
)

func TestMain(m *testing.M) {
	code, err := prepared(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func prepared(m *testing.M) (code int, err error) {
	if root, err = os.MkdirTemp("", "gct-"); err != nil {
		return 1, err
	}
	defer os.RemoveAll(root)
	if err := os.Setenv("XDG_DATA_HOME", filepath.Join(root, "data")); err != nil { // no keys among this user's
		return 1, err
	}
	bin := filepath.Join(root, "bin")
	// The worker's flags are those of every other build, whatever shell this is:
	// others would compile gotch again.
	const build = `set -e
cd ../..
CGO_ENABLED=0 go build -o "$1/gramme" ./cmd/gramme
eval "$(scripts/env)"
go build -o "$1/gramme-worker" ./cmd/gramme-worker`
	if out, err := exec.Command("bash", "-c", build, "build", bin).CombinedOutput(); err != nil {
		return 1, fmt.Errorf("build: %w\n%s", err, out)
	}
	binary = filepath.Join(bin, "gramme")
	// As one that is installed: it calls itself "gramme" in the commands that it prints.
	if err := os.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH")); err != nil {
		return 1, err
	}
	if corpus, err = writeCorpus(); err != nil {
		return 1, err
	}
	return m.Run(), nil
}

// config is the smallest model that is worth the name, and checkpoints as often
// as a run of seconds can use.
const config = `
model: {name: tiny, hidden_size: 32, layers: 1, heads: 2, intermediate_size: 64, max_positions: 32}
vocab_size: 256
max_seq: 32
batch: {rows: 2, micro_batches: 8}
precision: f32
threads: 1
checkpoint: {every: 300ms, keep: 3}
`

// writeCorpus writes documents of sentences that differ, so that the split gives
// each part some.
func writeCorpus() (string, error) {
	dir := filepath.Join(root, "text")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	subjects := []string{"The worker", "A coordinator", "The ledger", "Every checkpoint", "The ring", "A plan", "This entry"}
	verbs := []string{"keeps", "forgets", "writes", "reads", "counts", "sends", "verifies", "orders"}
	objects := []string{"the weights", "a reading", "its own part", "the newest step", "all shards", "one message", "the energy", "a signed head", "every mask"}
	for d := range 24 {
		var text string
		for s := range 40 {
			i := 40*d + s
			text += fmt.Sprintf("%s %s %s in generation %d of document %d.\n",
				subjects[i%len(subjects)], verbs[i/3%len(verbs)], objects[i/5%len(objects)], s, d)
			if s%8 == 7 {
				text += "\n"
			}
		}
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%02d.txt", d)), []byte(text), 0o644); err != nil {
			return "", err
		}
	}
	return dir, nil
}
