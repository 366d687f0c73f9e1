package sampler

import (
	"math"
	"reflect"
	"slices"
	"testing"

	"github.com/gramme-project/gramme/internal/rng"
)

// TestMaskCounts: BERT's rule, min(max_predictions, max(1, round(tokens*prob)))
// with [CLS] and [SEP] among the tokens, and none of these masked.
func TestMaskCounts(t *testing.T) {
	c := newCorpus(t, 6, 64, 200)
	for _, cfg := range []Config{
		{Rows: 10, Seq: 64, MicroBatches: 20},
		{Rows: 10, Seq: 64, MicroBatches: 20, MaxPredictions: 4},
		{Rows: 10, Seq: 64, MicroBatches: 20, MaskProb: 0.4, MaxPredictions: 99},
		{Rows: 10, Seq: 64, MicroBatches: 20, MaskProb: 0.001},
	} {
		s := c.sampler(t, cfg)
		full := s.cfg
		for index := range cfg.MicroBatches {
			for _, r := range rows(t, batch(t, s, 0, index)) {
				n := len(r.a) + len(r.b) + 3
				want := min(full.MaxPredictions, max(1, int(math.RoundToEven(float64(n)*full.MaskProb))))
				if len(r.masked) != min(want, n-3) {
					t.Fatalf("%+v: %d of %d tokens masked, want %d", cfg, len(r.masked), n, want)
				}
				for _, label := range r.masked {
					if label < firstWord {
						t.Fatalf("the special token %d is masked", label)
					}
				}
			}
		}
	}
}

// within says whether a count of n draws of probability p is within 5 standard
// deviations of what is expected.
func within(got, n int, p float64) bool {
	return math.Abs(float64(got)-float64(n)*p) < 5*math.Sqrt(float64(n)*p*(1-p))
}

// TestReplacements: 80% [MASK], 10% a random word, 10% as it was; positions are
// uniform.
func TestReplacements(t *testing.T) {
	c := newCorpus(t, 7, 64, 500)
	s := c.sampler(t, Config{Seed: 3, Rows: 50, Seq: 64, MicroBatches: 10})
	var masked, changed, same, firstHalf, total int
	var words []int64
	for step := range uint64(10) {
		for index := range 10 {
			b := batch(t, s, step, index)
			rows(t, b)
			for i, p := range b.Positions {
				total++
				switch b.IDs[p] {
				case mask:
					masked++
				case b.Labels[i]:
					same++
				default:
					changed++
					words = append(words, b.IDs[p])
				}
				row := int(p) / b.Seq
				n := 0
				for _, m := range b.Mask[row*b.Seq : (row+1)*b.Seq] {
					n += int(m)
				}
				if int(p)%b.Seq < n/2 {
					firstHalf++
				}
			}
		}
	}
	if !within(masked, total, 0.8) || !within(changed, total, 0.1) || !within(same, total, 0.1) {
		t.Errorf("of %d: %d [MASK], %d other words, %d as they were", total, masked, changed, same)
	}
	// [CLS] is in the first half and two [SEP] are not.
	if share := float64(firstHalf) / float64(total); share < 0.47 || share > 0.55 {
		t.Errorf("%.3f of the masks are in the first half of their rows", share)
	}
	low := 0
	for _, w := range words {
		if w < firstWord || w >= int64(c.manifest.VocabSize) {
			t.Fatalf("a random word is %d", w)
		}
		if w < int64(c.manifest.VocabSize)/2 {
			low++
		}
	}
	if !within(low, len(words), 0.5) {
		t.Errorf("%d of %d random words are of the lower half of the vocabulary", low, len(words))
	}
}

// TestWholeWord: the pieces of a word are masked together, no more than the rule
// allows, and as many as words allow.
func TestWholeWord(t *testing.T) {
	c := newCorpus(t, 8, 64, 300)
	s := c.sampler(t, Config{Seed: 4, Rows: 30, Seq: 64, MicroBatches: 10, WholeWord: true})
	several := 0
	for index := range 10 {
		for _, r := range rows(t, batch(t, s, 0, index)) {
			n := len(r.a) + len(r.b) + 3
			want := max(1, int(math.RoundToEven(float64(n)*0.15)))
			left := math.MaxInt // the shortest word that is not masked
			for _, segment := range [][]int64{r.a, r.b} {
				for from := 0; from < len(segment); {
					to := from + 1
					for to < len(segment) && isPiece(segment[to]) {
						to++
					}
					hit := 0
					for _, token := range segment[from:to] {
						if slices.Contains(r.masked, token) {
							hit++
						}
					}
					if hit != 0 && hit != to-from {
						t.Fatalf("%d of %d pieces of a word are masked", hit, to-from)
					}
					if hit == 0 {
						left = min(left, to-from)
					}
					if hit > 1 {
						several++
					}
					from = to
				}
			}
			if len(r.masked) > want || len(r.masked)+left <= want {
				t.Fatalf("%d masked of %d wanted, and a word of %d is left", len(r.masked), want, left)
			}
		}
	}
	if several < 50 {
		t.Errorf("only %d words of several pieces were masked", several)
	}
}

// TestMaskOfSpecialTokens: a row of special tokens alone has no candidate.
func TestMaskOfSpecialTokens(t *testing.T) {
	v := testVocabulary(t, 20)
	m := masker{v: v, prob: 0.5, maxPredictions: 10}
	if got := m.drawPositions([]int64{cls, unk, sep, unk, sep}, 5, rng.New(1)); len(got) != 0 {
		t.Errorf("columns %v are masked", got)
	}
}

func TestVocabulary(t *testing.T) {
	tokens := []string{"[PAD]", "[unused0]", "[UNK]", "a", "[CLS]", "##b", "[SEP]", "##", "[MASK]", "[x]"}
	v, err := NewVocabulary(tokens)
	if err != nil {
		t.Fatal(err)
	}
	if v.pad != 0 || v.cls != 4 || v.sep != 6 || v.mask != 8 || !slices.Equal(v.words, []int32{3, 5, 7, 9}) {
		t.Errorf("%+v", v)
	}
	for i, piece := range []bool{false, false, false, false, false, true, false, false, false, false} {
		if v.piece[i] != piece {
			t.Errorf("%s: piece is %t", tokens[i], v.piece[i])
		}
	}
	for _, missing := range []string{"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"} {
		without := slices.DeleteFunc(slices.Clone(tokens), func(s string) bool { return s == missing })
		if _, err := NewVocabulary(without); err == nil || err.Error() != "vocabulary: no "+missing {
			t.Errorf("without %s: %v", missing, err)
		}
	}
	if _, err := NewVocabulary([]string{"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"}); err == nil {
		t.Error("a vocabulary without words")
	}
}

// TestMaskingChangesOverTheSteps: the share of predicted tokens goes in a line from the
// first step's to the last step's, and stays there.
func TestMaskingChangesOverTheSteps(t *testing.T) {
	c := newCorpus(t, 5, 64, 200, 200)
	cfg := filled(Config{Rows: 40, Seq: 64, MicroBatches: 1, MaskProb: 0.5, MaxPredictions: 99, Steps: 5})
	constant := c.sampler(t, cfg)
	cfg.FinalMaskProb = 0.1
	s := c.sampler(t, cfg)
	for step, want := range []float64{0.5, 0.4, 0.3, 0.2, 0.1, 0.1} {
		b := batch(t, s, uint64(step), 0)
		if got := float64(len(b.Positions)) / float64(b.Tokens); math.Abs(got-want) > 0.02 {
			t.Errorf("step %d predicts %.3f of the tokens, want %.1f", step, got, want)
		}
	}
	if a, b := batch(t, s, 0, 0), batch(t, constant, 0, 0); !reflect.DeepEqual(a, b) {
		t.Error("the first step differs from that of a constant share")
	}
}
