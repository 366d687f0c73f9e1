package checkpoint

import (
	"fmt"
	"path/filepath"

	"github.com/gramme-project/gramme/replica"
)

// Summary is a checkpoint without its tensors.
type Summary struct {
	Manifest Manifest
	State    replica.Meta
}

// ReadSummary reads the summary of a checkpoint in a folder, as Choose returns it. It
// verifies only the file that it reads.
func ReadSummary(dir string) (b Summary, err error) {
	if b.Manifest, _, err = readManifest(dir); err != nil {
		return b, err
	}
	file, err := HashFile(filepath.Join(dir, stateFile))
	if err != nil {
		return b, fmt.Errorf("read checkpoint: %w", err)
	}
	if file != b.Manifest.Files[stateFile] {
		return b, &DamageError{filepath.Base(dir), stateFile, "it differs from the manifest"}
	}
	b.State, err = metaOf(dir)
	return b, err
}
