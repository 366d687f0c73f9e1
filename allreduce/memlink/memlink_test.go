package memlink_test

import (
	"testing"

	"github.com/gramme-project/gramme/allreduce"
	"github.com/gramme-project/gramme/allreduce/memlink"
	"github.com/gramme-project/gramme/allreduce/ringtest"
)

type cluster map[int]*memlink.Link

func (c cluster) Join(_ testing.TB, _ uint64, members ...int) []allreduce.Link {
	links := make([]allreduce.Link, len(members))
	for r, l := range memlink.NewMesh(len(members)) {
		links[r], c[members[r]] = l, l
	}
	return links
}

func (c cluster) Kill(member int) { c[member].Kill() }

func TestConformance(t *testing.T) {
	ringtest.Run(t, []int{1, 2, 3, 4, 5, 6, 7, 8, 9}, func(testing.TB, int) ringtest.Cluster { return cluster{} })
}

func (c cluster) Cut(member, _ int) { c[member].Cut() }

func TestCut(t *testing.T) {
	ringtest.Cut(t, func(testing.TB, int) ringtest.Cutting { return cluster{} })
}
