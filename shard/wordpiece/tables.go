package wordpiece

import (
	_ "embed"
	"fmt"
	"strings"
	"sync"
)

// tablesText says what Hugging Face's library does with each character. Its tables are of
// several editions of Unicode, none of them Go's, so that equal ids need a copy.
//
//go:embed tables.txt
var tablesText string

// tables holds the lists of tables.txt by name.
var tables = sync.OnceValue(func() map[string]runs {
	all := map[string]runs{}
	for line := range strings.Lines(tablesText) {
		var name string
		var r run
		if n, _ := fmt.Sscanf(line, "%s %x %x %d %d", &name, &r.first, &r.last, &r.stride, &r.delta); n == 5 {
			all[name] = append(all[name], r)
		}
	}
	return all
})

// run is every stride-th character from first to last; delta leads to their lower case.
type run struct{ first, last, stride, delta rune }

// runs is a set of characters, in order.
type runs []run

func (s runs) has(c rune) bool {
	_, found := s.find(c)
	return found
}

func (s runs) find(c rune) (run, bool) {
	for i, j := 0, len(s); i < j; {
		switch h := (i + j) / 2; {
		case s[h].last < c:
			i = h + 1
		case s[h].first > c:
			j = h
		default:
			return s[h], (c-s[h].first)%s[h].stride == 0
		}
	}
	return run{}, false
}
