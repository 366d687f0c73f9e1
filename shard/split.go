package shard

import "github.com/gramme-project/gramme/internal/rng"

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
	// lowest are the train documents with the lowest draws, in their order: they
	// fill a split that got none.
	lowest [minDocuments]candidate
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
	if p == train {
		c := candidate{s.documents, u}
		n := min(s.counts[train], int64(len(s.lowest)))
		for i := range s.lowest {
			if int64(i) >= n {
				s.lowest[i] = c
				break
			}
			if c.draw < s.lowest[i].draw {
				c, s.lowest[i] = s.lowest[i], c
			}
		}
	}
	s.counts[p]++
	s.documents++
}

// finish makes sure that, of three documents and more, each split has one; the
// validation split comes first.
func (s *splitter) finish() {
	s.moved = map[int64]part{}
	next := 0
	for _, p := range []part{validation, test} {
		if s.counts[p] > 0 || s.documents < minDocuments || s.counts[train] < 2 {
			continue
		}
		s.moved[s.lowest[next].document] = p
		next++
		s.counts[p]++
		s.counts[train]--
	}
}

// at is the split of a document.
func (s *splitter) at(document int64, u float64) part {
	if p, ok := s.moved[document]; ok {
		return p
	}
	return byDraw(u)
}
