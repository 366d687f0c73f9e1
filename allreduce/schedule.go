package allreduce

// Phase is one half of an all-reduce.
type Phase uint8

const (
	// ReduceScatter leaves each rank with the sum of one segment.
	ReduceScatter Phase = 1 + iota
	// AllGather passes the sums on until every rank has all of them.
	AllGather
)

func (p Phase) String() string {
	switch p {
	case ReduceScatter:
		return "reduce-scatter"
	case AllGather:
		return "all-gather"
	}
	return "unknown phase"
}

// Transfer is one chunk that goes from a rank to the next.
type Transfer struct {
	Phase  Phase
	Hop    int // 0 to world−2 within the phase
	Chunk  int // within the segment
	Offset int // first word in the vector
	Length int // words, at least 1
}

// Schedule lists what one rank does in one all-reduce, in order.
//
// The vector is cut into one segment per rank, and segments into chunks. In hop k of
// the reduce-scatter a rank sends segment rank−k and receives rank−k−1; in hop k of
// the all-gather it sends rank+1−k and receives rank−k (all modulo world). So a rank
// sends in one hop what it received in the last: after the first Ready sends, send
// Ready+i is the chunk of receive i and can go as soon as that was added.
type Schedule struct {
	Sends, Receives []Transfer
	Ready           int // sends of the rank's own words, which wait for no receive
}

// NewSchedule returns the schedule of a rank for a vector of length words. It
// is empty for a world of 1.
func NewSchedule(rank, world, length, chunk int) Schedule {
	var s Schedule
	if world == 1 {
		return s
	}
	hops := world - 1
	for hop := range hops {
		s.Sends = segment(s.Sends, ReduceScatter, hop, rank-hop, world, length, chunk)
		s.Receives = segment(s.Receives, ReduceScatter, hop, rank-hop-1, world, length, chunk)
		if hop == 0 {
			s.Ready = len(s.Sends)
		}
	}
	for hop := range hops {
		s.Sends = segment(s.Sends, AllGather, hop, rank+1-hop, world, length, chunk)
		s.Receives = segment(s.Receives, AllGather, hop, rank-hop, world, length, chunk)
	}
	return s
}

// segment appends the chunks of one segment, whose index is taken modulo world.
// Segments differ in length by at most one word; an empty one has no chunks.
func segment(list []Transfer, p Phase, hop, index, world, length, chunk int) []Transfer {
	index = ((index % world) + world) % world
	from, to := bound(index, world, length), bound(index+1, world, length)
	for c := 0; from < to; c++ {
		n := min(chunk, to-from)
		list = append(list, Transfer{Phase: p, Hop: hop, Chunk: c, Offset: from, Length: n})
		from += n
	}
	return list
}

// bound returns the first word of a segment.
func bound(index, world, length int) int {
	return index*(length/world) + min(index, length%world)
}
