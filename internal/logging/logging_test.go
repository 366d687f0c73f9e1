package logging

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// TestLinesCarryADate reads what both formats write.
func TestLinesCarryADate(t *testing.T) {
	const moment = `\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}(Z|[+-]\d\d:\d\d)`
	for format, want := range map[string]string{
		"console": `^` + moment + `\tinfo\thello\t`,
		"json":    `^\{"level":"info","ts":"` + moment + `","msg":"hello","role":"up","id":"up"\}`,
	} {
		path := filepath.Join(t.TempDir(), "log")
		log, err := To(path, Config{Level: "info", Format: format}, "up", "up")
		if err != nil {
			t.Fatal(err)
		}
		log.Info("hello")
		b, err := os.ReadFile(path)
		if err != nil || !regexp.MustCompile(want).Match(b) {
			t.Errorf("%s: %q %v", format, b, err)
		}
	}
}
