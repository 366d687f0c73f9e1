package checkpoint

import (
	"fmt"
	"path/filepath"

	"github.com/gramme-project/gramme/replica"
)

// Brief is what a checkpoint tells of a run without its tensors.
type Brief struct {
	Manifest Manifest
	State    replica.Meta
}

// ReadBrief reads that of a checkpoint's folder, as Choose gives it. It checks the
// file that it reads against the manifest, and no other.
func ReadBrief(dir string) (b Brief, err error) {
	if b.Manifest, _, err = readManifest(dir); err != nil {
		return b, err
	}
	file, err := hashFile(filepath.Join(dir, stateFile))
	if err != nil {
		return b, fmt.Errorf("read checkpoint: %w", err)
	}
	if file != b.Manifest.Files[stateFile] {
		return b, &Damage{filepath.Base(dir), stateFile, "it is not what the manifest says"}
	}
	b.State, err = metaOf(dir)
	return b, err
}
