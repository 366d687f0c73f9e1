package main

import (
	"bytes"
	"flag"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/configuration.md again")

// TestConfigurationPage holds the page of the documentation to the program.
func TestConfigurationPage(t *testing.T) {
	for _, pair := range os.Environ() {
		if name, _, _ := strings.Cut(pair, "="); strings.HasPrefix(name, "GRAMME_") {
			t.Setenv(name, "") // as if it was not set
		}
	}
	var table bytes.Buffer
	root := rootCommand()
	root.SetArgs([]string{"config", "--markdown", "--run", t.TempDir()})
	root.SetOut(&table)
	if err := root.Execute(); err != nil {
		t.Fatal(err)
	}
	const page = "../../docs/configuration.md"
	b, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	head, _, _ := strings.Cut(string(b), "| key |")
	want := head + table.String()
	if *update {
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if string(b) != want {
		t.Errorf("%s is not what `gramme config --markdown` prints.\nIf the keys are right, update it:\n\n\tgo test ./cmd/gramme -run TestConfigurationPage -update", page)
	}
}
