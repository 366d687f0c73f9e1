package preflight

import (
	"cmp"
	"fmt"
	"strings"
)

const (
	floorAddressSpace = 2_000 * mb // with which a worker was seen to start
	etcdFile          = 16 << 20   // by which etcd's store grows
	floorStack        = 100_000    // with less a worker was seen to crash
	bytesOfState      = 12         // of a parameter in a checkpoint: weight and two moments
	filesOfRun        = 60         // of two checkpoints, ledger, logs and a small corpus
)

// addressSpace is what `ulimit -v` limits.
func addressSpace(f Facts, n Need) Finding {
	if f.AddressSpace == Unlimited {
		return Finding{}
	}
	found := Finding{Name: "address space", Text: fmt.Sprintf("the limit is %s, a worker maps at least %s", Bytes(f.AddressSpace), Bytes(floorAddressSpace))}
	if f.AddressSpace < floorAddressSpace {
		found.Level, found.Hint = Failure, "lift it with `ulimit -v unlimited`"
	}
	return found
}

// stack is what `ulimit -s` limits for good: a lower one is raised.
func stack(f Facts) Finding {
	if f.Stack >= floorStack {
		return Finding{}
	}
	return Finding{"stack", Failure, fmt.Sprintf("the limit is %s, libtorch takes more", Bytes(f.Stack)), "raise it with `ulimit -s 8192`"}
}

// runFolder is where everything of a run is written.
func runFolder(f Facts) Finding {
	if f.Run.Path == "" {
		return Finding{}
	}
	if f.Run.Problem != "" {
		return Finding{"run folder", Failure, f.Run.Path + ": " + f.Run.Problem, cmp.Or(f.Run.Hint, "give --run a folder that may be written")}
	}
	return Finding{Name: "run folder", Text: f.Run.Path + " can be written"}
}

// disk is for the checkpoints that are kept, the one that is being written and what
// is prepared.
func disk(f Facts, n Need) Finding {
	if f.Run.Path == "" || f.Run.Free == Unlimited || f.Run.Problem != "" {
		return Finding{}
	}
	// What was not prepared takes about as much as its text while it is read, and
	// half as much as tokens.
	usual := int64(2*bytesOfState)*n.Parameters + n.Input*3/2 + 20*mb
	floor := int64(bytesOfState)*n.FewestParameters + 1*mb
	text := fmt.Sprintf("%s free at %s, two checkpoints and the corpus take about %s", Bytes(f.Run.Free), f.Run.Path, Bytes(usual))
	hint := "free some space, or give --run a folder on another disk"
	switch {
	case f.Run.Free+f.Run.Reserved < floor:
		text = fmt.Sprintf("%s free at %s, one checkpoint takes at least %s", Bytes(f.Run.Free), f.Run.Path, Bytes(floor))
		return Finding{"disk", Failure, text, hint}
	case f.Run.Free < usual:
		return Finding{"disk", Warning, text, hint}
	}
	return Finding{Name: "disk", Text: text}
}

// inodes are files that a disk can still hold.
func inodes(f Facts, n Need) Finding {
	if f.Run.Path == "" || f.Run.Inodes == Unlimited || f.Run.Problem != "" {
		return Finding{}
	}
	text := fmt.Sprintf("%d more files can be made at %s, a run makes about %d", f.Run.Inodes, f.Run.Path, filesOfRun)
	if f.Run.Inodes >= filesOfRun {
		return Finding{Name: "inodes", Text: text}
	}
	level := Warning
	if f.Run.Inodes < filesOfRun/4 {
		level = Failure
	}
	return Finding{"inodes", level, text, "remove files there, or give --run a folder on another disk"}
}

// fileSize is what `ulimit -f` limits: a checkpoint holds both moments in one file, and
// etcd's store grows by large pieces.
func fileSize(f Facts, n Need) Finding {
	if f.FileSize == Unlimited {
		return Finding{}
	}
	needs := max(8*n.FewestParameters, 1*mb)
	if !n.Shared {
		needs = max(needs, etcdFile)
	}
	found := Finding{Name: "size of files", Text: fmt.Sprintf("the limit is %s, the largest file has at least %s", Bytes(f.FileSize), Bytes(needs))}
	if f.FileSize < needs {
		found.Level, found.Hint = Failure, "lift it with `ulimit -f unlimited`"
	}
	return found
}

// sockets are for etcd, which listens on no port.
func sockets(f Facts) Finding {
	switch {
	case f.Sockets != "":
		return Finding{Name: "unix sockets", Text: "work in " + f.Sockets}
	case len(f.Refused) > 0:
		return Finding{"unix sockets", Failure, "work nowhere: " + strings.Join(f.Refused, "; "), "set TMPDIR to a folder on a local disk that may be written, with a short path"}
	}
	return Finding{}
}

// cache is a convenience: a run works without.
func cache(f Facts) Finding {
	switch {
	case f.Cache.Problem != "":
		return Finding{"cache", Note, f.Cache.Problem + ": nothing is cached for other runs", "set HOME or XDG_CACHE_HOME to a folder that may be written"}
	case f.Cache.Path != "":
		return Finding{Name: "cache", Text: f.Cache.Path}
	}
	return Finding{}
}
