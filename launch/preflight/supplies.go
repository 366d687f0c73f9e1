package preflight

// What was measured of runs on Linux on x86-64, two processors, with the CPU build
// of libtorch. The floors are the least with which a run of the smallest model was
// seen to end; the others are estimates.
const (
	mb = 1_000_000

	floorServices  = 40 * mb  // memory of up, coordinator and checkpoint service
	floorWorker    = 105 * mb // memory of a worker that is its own: libtorch's code can be read again
	floorHeld      = 12       // bytes of a parameter in the checkpoint service: a snapshot
	floorParameter = 16       // bytes of a parameter in a worker: weight, gradient, two moments

	usualServices  = 60 * mb
	usualHeld      = 20 // a snapshot that is written, and pieces of the next
	usualWorker    = 105 * mb
	usualParameter = 46 // besides, the sums in integers, the entries of two steps, and what the start takes at once
	perValue       = 4  // bytes of an activation

	// etcd keeps 150 files for itself, and takes connections with the rest only.
	floorFilesUp, floorFilesWorker = 154, 2
	usualFilesUp, usualFilesWorker = 170, 4
	floorFilesAlone                = 28 // without etcd and NATS
)

// memory is what containers and the machine have.
func memory(f Facts, n Need) supply {
	own := n.Parameters*usualParameter + n.Activations*perValue
	s := supply{
		name: "memory", have: f.MemoryFree, most: plus(f.MemoryTotal, f.Swap), where: "the machine has", show: Bytes,
		floor: amount{floorServices + n.FewestParameters*floorHeld, floorWorker + n.FewestParameters*floorParameter},
		usual: amount{usualServices + n.Parameters*usualHeld, usualWorker + own},
		raise: "free some memory, take a smaller model or a smaller batch.rows",
	}
	group := f.Groups.Memory
	if group == nil || group.Free() >= s.have && group.Max >= s.most {
		return s
	}
	s.have, s.where = min(s.have, group.Free()), "the container allows"
	s.raise = "raise the memory limit of the container (" + group.Group + ")"
	s.most = min(s.most, plus(group.Max, min(f.Groups.Swap, f.Swap)))
	return s
}

// plus adds amounts that may be Unlimited.
func plus(a, b int64) int64 {
	if a > Unlimited-b {
		return Unlimited
	}
	return a + b
}

// tasks are processes and threads.
func tasks(f Facts, n Need) supply {
	threads := int64(max(n.Threads, 1) - 1)
	// Go runs on as many threads as there are processors, where it has work for them.
	few, spread := int64(min(f.Processors, 2)), int64(min(f.Processors, 16))
	s := supply{
		name: "processes and threads", have: Unlimited, most: Unlimited, show: number,
		floor: amount{22 + 3*few, 7 + few + threads}, // 37 and 46 on two processors were too few by one
		usual: amount{26 + 3*spread, 9 + spread + threads},
	}
	if f.Processes != Unlimited && !f.Root {
		s.have, s.most, s.where = max(0, f.Processes-f.UserTasks+f.OwnTasks), f.Processes, "the limit of this user leaves"
		s.raise = "raise it (ulimit -u)"
	}
	if group := f.Groups.Tasks; group != nil && group.Free()+f.OwnTasks < s.have {
		s.have, s.most, s.where = group.Free()+f.OwnTasks, group.Max, "the container leaves"
		s.raise = "raise pids.max of the container (" + group.Group + ")"
	}
	return s
}

// files are those that `up` has open at once: it serves all the others.
func files(f Facts, n Need) supply {
	s := supply{
		name: "open files", have: f.Files, most: f.Files, where: "the limit is", show: number,
		floor: amount{floorFilesUp, floorFilesWorker}, usual: amount{usualFilesUp, usualFilesWorker},
		raise: "raise it with `ulimit -n 4096`",
	}
	if n.Shared {
		s.floor.services, s.usual.services = floorFilesAlone, floorFilesAlone
	}
	return s
}
