package ringtest

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/gramme-project/gramme/allreduce"
)

// corruptedFrames alters, loses or repeats one frame of a rank: the next rank must name
// the frame and the rank, and every rank must end with an error.
func corruptedFrames(t *testing.T, open func(testing.TB, int) Cluster) {
	const world, spoiler = 4, 1
	cluster := open(t, world)
	generation := uint64(0)
	for name, c := range map[string]struct {
		want error
		send func(send func(header, payload []byte) error, header, payload []byte) error
	}{
		"flipped byte of the payload": {allreduce.ErrCorrupt, func(send func(_, _ []byte) error, header, payload []byte) error {
			payload = slices.Clone(payload)
			payload[3] ^= 0x40
			return send(header, payload)
		}},
		"flipped byte of the header": {allreduce.ErrCorrupt, func(send func(_, _ []byte) error, header, payload []byte) error {
			header = slices.Clone(header)
			header[20] ^= 1
			return send(header, payload)
		}},
		"lost": {allreduce.ErrSequence, func(func(_, _ []byte) error, []byte, []byte) error { return nil }},
		"repeated": {allreduce.ErrSequence, func(send func(_, _ []byte) error, header, payload []byte) error {
			return errors.Join(send(header, payload), send(header, payload))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			generation++
			links := cluster.Join(t, generation, members(world)...)
			defer closeAll(links)
			around := slices.Clone(links)
			around[spoiler] = &corruptingLink{Link: links[spoiler], send: c.send}
			rings := Rings(t, generation, around, func(cfg *allreduce.Config) { cfg.Window = 16 })
			own := Vectors(1, world, 200, allreduce.Int32)
			before := clone(own)
			_, errs := Reduce(t, rings, 1, own)
			var peer *allreduce.PeerError
			if err := errs[spoiler+1]; !errors.Is(err, c.want) || !errors.As(err, &peer) || peer.Rank != spoiler {
				t.Errorf("rank %d says %v, not %v by rank %d", spoiler+1, err, c.want, spoiler)
			}
			for r, err := range errs {
				if err == nil {
					t.Errorf("rank %d has no error", r)
				}
			}
			unchanged(t, before, own)
		})
	}
}

// corruptingLink sends its fifth frame by send.
type corruptingLink struct {
	allreduce.Link
	sent int
	send func(send func(header, payload []byte) error, header, payload []byte) error
}

func (s *corruptingLink) Send(ctx context.Context, header, payload []byte) error {
	send := func(header, payload []byte) error { return s.Link.Send(ctx, header, payload) }
	if s.sent++; s.sent == 5 {
		return s.send(send, header, payload)
	}
	return send(header, payload)
}

// staleFrames sends frames of an old generation into a new one.
func staleFrames(t *testing.T, open func(testing.TB, int) Cluster) {
	const world = 3
	cluster := open(t, world)
	old := cluster.Join(t, 1, members(world)...)
	defer closeAll(old)
	links := cluster.Join(t, 2, members(world)...)
	defer closeAll(links)
	rings := Rings(t, 2, links, nil)
	for step := range uint64(5) {
		for r, l := range old {
			header := allreduce.Frame{
				Run: allreduce.RunHash("test"), Generation: 1, Step: step, Rank: r, World: world,
				Transfer: allreduce.Transfer{Phase: allreduce.ReduceScatter, Length: 1},
			}.Encode(make([]byte, 4))
			if err := l.Send(t.Context(), header[:], make([]byte, 4)); err != nil {
				t.Fatal(err)
			}
		}
		own := Vectors(step, world, 50, allreduce.Int32)
		results, errs := Reduce(t, rings, step+1, own)
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
		Check(t, allreduce.Int32, own, results)
	}
}
