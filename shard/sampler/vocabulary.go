package sampler

import (
	"fmt"
	"strings"
)

// Vocabulary is what the sampler needs of a tokenizer. It is immutable.
type Vocabulary struct {
	size                int
	pad, cls, sep, mask int32
	special             []bool  // never masked, never drawn
	piece               []bool  // continues the previous word
	words               []int32 // from which random words are drawn
}

// NewVocabulary derives a Vocabulary from the list of tokens, by id. [PAD], [UNK], [CLS],
// [SEP] and [MASK] are required; they and [unused…] are special; tokens that begin with ##
// continue a word.
func NewVocabulary(tokens []string) (*Vocabulary, error) {
	v := &Vocabulary{size: len(tokens), special: make([]bool, len(tokens)), piece: make([]bool, len(tokens))}
	seen := map[string]int32{"[PAD]": -1, "[UNK]": -1, "[CLS]": -1, "[SEP]": -1, "[MASK]": -1}
	for i, t := range tokens {
		if _, ok := seen[t]; ok {
			seen[t] = int32(i)
			v.special[i] = true
		} else if strings.HasPrefix(t, "[unused") && strings.HasSuffix(t, "]") {
			v.special[i] = true
		} else {
			v.words = append(v.words, int32(i))
		}
		v.piece[i] = strings.HasPrefix(t, "##") && len(t) > 2
	}
	for _, t := range []string{"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"} {
		if seen[t] < 0 {
			return nil, fmt.Errorf("vocabulary: no %s", t)
		}
	}
	if len(v.words) == 0 {
		return nil, fmt.Errorf("vocabulary: no words")
	}
	v.pad, v.cls, v.sep, v.mask = seen["[PAD]"], seen["[CLS]"], seen["[SEP]"], seen["[MASK]"]
	return v, nil
}
