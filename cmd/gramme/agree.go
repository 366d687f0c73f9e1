package main

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/gramme-project/gramme/internal/failures"
	"github.com/gramme-project/gramme/internal/rundir"
	"github.com/gramme-project/gramme/runspec"
	"github.com/gramme-project/gramme/shard"
)

// vocabularyFits tells whether a requested vocabulary size gives the vocabulary of a
// corpus: if the text gave fewer pieces than wanted, any larger number gives the same.
func vocabularyFits(m shard.Manifest, asked int) bool {
	exhausted := m.VocabSize < m.Provenance.Options.VocabSize
	return asked == m.VocabSize || exhausted && asked >= m.VocabSize
}

// checkCorpus reports settings of a new run that contradict its corpus, which may have
// been prepared earlier.
func checkCorpus(m shard.Manifest, s runspec.Spec, origins runspec.Origins) error {
	var errs []error
	check := func(key string, fits bool, asked, has any) {
		if !fits && origins.Given(key) {
			errs = append(errs, fmt.Errorf("%s: the corpus was prepared with %v, but %s says %v", key, has, origins[key], asked))
		}
	}
	check("vocab_size", vocabularyFits(m, s.VocabSize), s.VocabSize, m.VocabSize)
	check("lowercase", s.Lowercase == m.Lowercase, s.Lowercase, m.Lowercase)
	check("max_seq", s.MaxSeq == m.MaxSeq, s.MaxSeq, m.MaxSeq)
	return failures.Of(errs...)
}

// withoutFittingVocabulary removes vocabulary sizes that fit a run's corpus: a repeated
// command gives the requested size, while the run's spec holds the actual one.
func withoutFittingVocabulary(dir rundir.Dir, layers [][]runspec.Setting) [][]runspec.Setting {
	m, err := shard.OpenManifest(dir.Corpus())
	if err != nil {
		return layers // the code that opens the corpus reports its faults
	}
	out := make([][]runspec.Setting, len(layers))
	for i, layer := range layers {
		out[i] = slices.DeleteFunc(slices.Clone(layer), func(s runspec.Setting) bool {
			if s.Key.Name != "vocab_size" || len(s.Texts) != 1 {
				return false
			}
			asked, err := strconv.Atoi(s.Texts[0])
			return err == nil && vocabularyFits(m, asked)
		})
	}
	return out
}
