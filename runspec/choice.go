package runspec

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/gramme-project/gramme/internal/vfs"
)

// readChoice reads what writeChoice wrote; nil if there is no file.
func readChoice[C any](path string) (*C, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read choice: %w", err)
	}
	var c C
	if err := json.Unmarshal(b, &c); err != nil {
		return nil, fmt.Errorf("read choice %s: %w", path, err)
	}
	return &c, nil
}

// writeChoice keeps what a measurement decided.
func writeChoice(path string, c any) error {
	b, err := json.Marshal(c)
	if err == nil {
		err = vfs.WriteFile(vfs.OS{}, path, append(b, '\n'), 0o644)
	}
	if err != nil {
		return fmt.Errorf("store choice: %w", err)
	}
	return nil
}
