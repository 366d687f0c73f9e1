package failures

import (
	"errors"
	"fmt"
	"io/fs"
	"testing"
)

func TestOf(t *testing.T) {
	if err := Of(); err != nil {
		t.Errorf("of nothing: %v", err)
	}
	if err := Of(nil, nil); err != nil {
		t.Errorf("of no failure: %v", err)
	}
	err := Of(errors.New("one"), nil, Of(errors.New("two"), fmt.Errorf("three: %w", fs.ErrNotExist)))
	if err == nil || err.Error() != "one\ntwo\nthree: file does not exist" {
		t.Errorf("told as %v", err)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		t.Error("a failure is not found among the others")
	}
}
