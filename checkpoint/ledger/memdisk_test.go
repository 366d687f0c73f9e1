package ledger

import (
	"errors"
	"path/filepath"

	"github.com/gramme-project/gramme/internal/vfs"
	"github.com/gramme-project/gramme/internal/vfs/memfs"
)

// memDisk is a file system in memory, with short names for what tests do most.
type memDisk struct{ *memfs.FS }

func newMemDisk() memDisk { return memDisk{memfs.New()} }

// afterLoss returns what stands after a loss of power.
func (d memDisk) afterLoss(keep memfs.Keep) memDisk { return memDisk{d.Crash(keep)} }

// read returns what a file holds; nothing where there is none.
func (d memDisk) read(name string) []byte {
	b, _ := vfs.ReadFile(d, name)
	return b
}

// there reports whether there is such a file.
func (d memDisk) there(name string) bool {
	_, err := d.Stat(name)
	return err == nil
}

// write replaces a file.
func (d memDisk) write(name string, b []byte) {
	if err := errors.Join(vfs.MkdirAll(d, filepath.Dir(name), 0o755), vfs.WriteFile(d, name, b, 0o644)); err != nil {
		panic(err)
	}
}

// keeps are kinds of losses, by their names.
func keeps(seeds uint64) map[string]memfs.Keep {
	all := map[string]memfs.Keep{"all": memfs.KeepNone, "none": memfs.KeepAll}
	for seed := range seeds {
		all["some/"+string('0'+rune(seed))] = memfs.KeepSome(seed)
	}
	return all
}

var errPowerLost = errors.New("power lost")
