package meter

import (
	"crypto/rand"
	"maps"
	"os"
	"path/filepath"
)

// register is where the metered processes of a host tell each other how much processor
// time they used, in one locked file each, so that the owner of the host's counters can
// say which runs worked there. It is kept only on hosts that have counters. Without it
// only these numbers are missing.
type register struct {
	dir, prefix, run string
	file             *os.File
	path             string
	last             map[string]uint64 // of each file, at the last sample
}

// registered is the content of such a file.
type registered struct {
	Run   string `json:"run"`
	Nanos uint64 `json:"processor_ns"`
}

func newRegister(dir, bootID, run string) register {
	return register{dir: dir, prefix: lockName(bootID, "process-"), run: run}
}

// update publishes what this process used since it began and, with all, returns what the
// processes of each run used since the last update.
func (r *register) update(used uint64, all bool) map[string]int64 {
	if r.file == nil {
		r.create()
	}
	if r.file != nil {
		_ = overwrite(r.file, registered{r.run, used}) // on failure others see the older value
	}
	runs := map[string]int64{}
	if !all {
		r.last = nil
		return runs
	}
	paths, _ := filepath.Glob(filepath.Join(r.dir, r.prefix+"*")) // neither has a special character
	now := map[string]uint64{}
	for _, path := range paths {
		v := registered{r.run, used}
		if path != r.path {
			locked, read := readLocked(path, &v)
			if !locked {
				_ = os.Remove(path) // of a killed process; another user's file is removed by that user
			}
			if !read {
				if before, ok := r.last[path]; ok && locked { // the file is being written
					now[path] = before
				}
				continue
			}
		}
		now[path] = v.Nanos
		runs[v.Run] += 0 // the run is present
		if before, ok := r.last[path]; ok && v.Nanos > before {
			runs[v.Run] += int64(v.Nanos - before)
		}
	}
	r.last = now
	maps.DeleteFunc(runs, func(run string, _ int64) bool { return run == "" })
	return runs
}

// create makes the file of this process. It gets its name once it is locked: any process
// may remove an unlocked file of that name.
func (r *register) create() {
	f, err := os.CreateTemp(r.dir, "gramme-meter-new-")
	if err != nil {
		return
	}
	path := filepath.Join(r.dir, r.prefix+rand.Text()[:10])
	if f.Chmod(0o644) != nil || lock(f) != nil || overwrite(f, registered{Run: r.run}) != nil || os.Rename(f.Name(), path) != nil {
		_ = os.Remove(f.Name())
		_ = f.Close()
		return
	}
	r.file, r.path = f, path
}

// remove removes the file of this process.
func (r *register) remove() {
	if r.file != nil {
		_ = os.Remove(r.path)
		_ = r.file.Close()
		r.file, r.path = nil, ""
	}
}
