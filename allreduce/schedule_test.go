package allreduce

import (
	"fmt"
	"slices"
	"testing"
)

// TestScheduleSums plays the schedules of all ranks against each other with
// plain slices and compares with the naive sum.
func TestScheduleSums(t *testing.T) {
	for world := 1; world <= 9; world++ {
		for _, length := range []int{0, 1, 2, 3, 5, 8, 9, 10, 17, 64, 101} {
			for _, chunk := range []int{1, 2, 7, 1000} {
				t.Run(fmt.Sprintf("world %d, %d words, chunk %d", world, length, chunk), func(t *testing.T) {
					play(t, world, length, chunk)
				})
			}
		}
	}
}

func play(t *testing.T, world, length, chunk int) {
	own, sum := make([][]int, world), make([]int, length)
	result := make([][]int, world)
	schedules := make([]Schedule, world)
	queues := make([][][]int, world) // frames on the way to each rank
	for r := range world {
		schedules[r] = NewSchedule(r, world, length, chunk)
		own[r], result[r] = make([]int, length), make([]int, length)
		for i := range length {
			own[r][i] = 1000*r + i*i
			sum[i] += own[r][i]
		}
	}
	for r, s := range schedules {
		if from := schedules[(r+world-1)%world].Sends; !slices.Equal(s.Receives, from) {
			t.Fatalf("rank %d does not receive what rank %d sends", r, (r+world-1)%world)
		}
		if most := 2 * (world - 1) * (length/world + 1); total(s.Sends) > most {
			t.Errorf("rank %d sends %d words, more than %d", r, total(s.Sends), most)
		}
	}
	sent, received := make([]int, world), make([]int, world)
	for progress := true; progress; {
		progress = false
		for r, s := range schedules {
			for sent[r] < len(s.Sends) && sent[r] < s.Ready+received[r] {
				x := s.Sends[sent[r]]
				from := own[r]
				if sent[r] >= s.Ready {
					from = result[r]
					if q := s.Receives[sent[r]-s.Ready]; q.Offset != x.Offset || q.Length != x.Length {
						t.Fatalf("rank %d: send %v does not pass on receive %v", r, x, q)
					}
				}
				next := (r + 1) % world
				queues[next] = append(queues[next], slices.Clone(from[x.Offset:x.Offset+x.Length]))
				sent[r]++
				progress = true
			}
			if len(queues[r]) > 0 { // one at a time, so that ranks interleave
				x, data := s.Receives[received[r]], queues[r][0]
				queues[r] = queues[r][1:]
				if len(data) != x.Length || x.Length < 1 || x.Length > chunk {
					t.Fatalf("rank %d got %d words for %v", r, len(data), x)
				}
				for i, v := range data {
					if x.Phase == ReduceScatter {
						v += own[r][x.Offset+i]
					}
					result[r][x.Offset+i] = v
				}
				received[r]++
				progress = true
			}
		}
	}
	for r, s := range schedules {
		if sent[r] != len(s.Sends) || received[r] != len(s.Receives) {
			t.Fatalf("rank %d stopped after %d of %d sends and %d of %d receives", r, sent[r], len(s.Sends), received[r], len(s.Receives))
		}
		if world > 1 && !slices.Equal(result[r], sum) {
			t.Fatalf("rank %d has %v, the naive sum is %v", r, result[r], sum)
		}
	}
}

func total(list []Transfer) int {
	n := 0
	for _, t := range list {
		n += t.Length
	}
	return n
}
