package preflight

import "github.com/gramme-project/gramme/internal/cgroup"

// Unlimited is a limit that is none, or an amount that nobody knows.
const Unlimited = cgroup.Unlimited

// Facts are what a machine has for this process and its children.
type Facts struct {
	Processors int
	// Root says that this process has the rights of root, whom limits of processes
	// and reserved parts of a disk do not bind.
	Root bool

	MemoryFree  int64 // bytes that the machine could give without swap; Unlimited: not known
	MemoryTotal int64 // bytes without swap; likewise
	Swap        int64 // bytes of swap
	Groups      cgroup.Limits

	// Limits of a process, as `ulimit` shows them. Where a program may raise its
	// own, the one that it cannot exceed.
	Files, AddressSpace, FileSize, Stack, Processes int64
	UserTasks                                       int64 // threads of this user, which Processes bounds
	OwnTasks                                        int64 // threads of this process, which count as used

	Run     Folder   // where the run is, or would be
	Cache   Folder   // of this user; a Path of "": nowhere
	Sockets string   // folder where unix sockets work; "": nowhere
	Refused []string // places where they do not, with the reason
}

// Folder is a place on a disk.
type Folder struct {
	Path    string
	Problem string // why files cannot be made there; "": they can
	Hint    string // what to do about it, where that is known
	Free    int64  // bytes; Unlimited: not known
	// Reserved are bytes besides that only root may use, where this is root.
	Reserved int64
	Inodes   int64 // files that can be made; Unlimited: not known
}
