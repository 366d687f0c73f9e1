package shard

import (
	"cmp"
	"slices"

	"github.com/gramme-project/gramme/internal/rng"
)

// part is one of the three splits.
type part uint8

const (
	train part = iota
	validation
	test
	parts
)

var partNames = [parts]string{"train", "validation", "test"}

// Shares of documents that are held out.
const (
	testShare       = 0.01
	validationShare = 0.01
)

// minDocuments is the number from which a corpus has all three splits.
const minDocuments = 3

// draw places a document by its content, so that it stays in its split when the
// corpus grows or is reordered.
func draw(seed, content uint64) float64 {
	return float64(rng.Mix(rng.DomainSplit, seed, content)>>11) / (1 << 53)
}

// splitter decides which document goes where. Every document is told to it
// once; after that at answers.
type splitter struct {
	documents int64
	counts    [parts]int64
	// lowest are the documents of each split with the lowest draws, in their
	// order: they fill a split that got none.
	lowest [parts][]candidate
	moved  map[int64]part
}

type candidate struct {
	document int64
	draw     float64
}

func byDraw(u float64) part {
	switch {
	case u < testShare:
		return test
	case u < testShare+validationShare:
		return validation
	}
	return train
}

// add counts the next document.
func (s *splitter) add(u float64) {
	p := byDraw(u)
	s.lowest[p] = append(s.lowest[p], candidate{s.documents, u})
	slices.SortStableFunc(s.lowest[p], func(a, b candidate) int { return cmp.Compare(a.draw, b.draw) })
	s.lowest[p] = s.lowest[p][:min(len(s.lowest[p]), minDocuments)]
	s.counts[p]++
	s.documents++
}

// finish makes sure that, of three documents and more, each split has one: an
// empty one takes it from the largest.
func (s *splitter) finish() {
	s.moved = map[int64]part{}
	if s.documents < minDocuments {
		return
	}
	var taken [parts]int
	for p := range parts {
		if s.counts[p] > 0 {
			continue
		}
		from := train
		for q := range parts {
			if s.counts[q] > s.counts[from] {
				from = q
			}
		}
		s.moved[s.lowest[from][taken[from]].document] = p
		taken[from]++
		s.counts[p]++
		s.counts[from]--
	}
}

// at is the split of a document.
func (s *splitter) at(document int64, u float64) part {
	if p, ok := s.moved[document]; ok {
		return p
	}
	return byDraw(u)
}
