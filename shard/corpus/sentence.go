package corpus

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// AppendSentences cuts a paragraph of clean text to sentences, and appends them. They
// follow each other in it with nothing but spaces between them, and none is empty.
//
// The rules are of European punctuation and of Chinese and Japanese: they know
// abbreviations, initials, decimal and list numbers, ellipses, names with dots
// in them and code between backquotes. They do not guess where a sentence ends
// that no mark ends.
func AppendSentences(dst []string, s string) []string {
	start := 0
	code := false
	cut := func(end int) {
		if t := strings.TrimSpace(s[start:end]); t != "" {
			dst = append(dst, t)
		}
		start = end
	}
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf && c != '.' && c != '!' && c != '?' && c != '`' {
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == '`':
			// A backquote without a partner opens nothing.
			if code || strings.IndexByte(s[i+1:], '`') >= 0 {
				code = !code
			}
			i++
		case code:
			i += n
		case strings.ContainsRune("。！？｡", r):
			i = skip(s, i+n, "。！？｡…!?")
			i = skip(s, i, closers)
			cut(i)
		case strings.ContainsRune(".!?…", r):
			end := skip(s, i, ".!?…")
			mark := s[i:end]
			after := skip(s, end, closers)
			if after == len(s) || s[after] == ' ' && ends(s[start:i], mark, s[after:]) {
				cut(after)
			}
			i = after
		default:
			i += n
		}
	}
	cut(len(s))
	return dst
}

// skip returns the end of the run of runes of a set that begins at i.
func skip(s string, i int, set string) int {
	for i < len(s) {
		r, n := utf8.DecodeRuneInString(s[i:])
		if !strings.ContainsRune(set, r) {
			break
		}
		i += n
	}
	return i
}

// ends decides whether a mark that a space follows ends the sentence before it.
func ends(before, mark, after string) bool {
	next, _ := utf8.DecodeRuneInString(strings.TrimLeft(after, " \"'([{“‘«‹*_`"))
	if unicode.IsLower(next) || next == utf8.RuneError {
		return false
	}
	if mark != "." {
		// An ellipsis or an exclamation within a sentence goes on in lower case.
		return true
	}
	word := before[strings.LastIndexByte(before, ' ')+1:]
	word = strings.TrimLeft(word, "\"'([{“‘«‹*_")
	if word == "" {
		return true
	}
	if len(word) == len(strings.TrimLeft(before, "\"'([{“‘«‹*_ ")) && isNumber(word) {
		return false // "3. The third item"
	}
	if r, n := utf8.DecodeRuneInString(word); n == len(word) && unicode.IsUpper(r) && r != 'I' {
		return false // "J. Smith"
	}
	low := strings.ToLower(word)
	switch abbreviations[low] {
	case never:
		return false
	case beforeNumber:
		return !unicode.IsDigit(next)
	case sometimes:
		return unicode.IsUpper(next) && len(strings.Fields(after)) > 1
	}
	if letters := strings.Split(low, "."); len(letters) > 1 {
		for _, l := range letters {
			if utf8.RuneCountInString(l) != 1 {
				return true
			}
		}
		return unicode.IsUpper(next) // "in the U.S. The", "J.R. Smith" cannot be told apart
	}
	return true
}

func isNumber(s string) bool {
	return strings.Trim(s, "0123456789.") == "" || len(s) == 1 && s[0] >= 'a' && s[0] <= 'z' || strings.Trim(s, "ivx") == ""
}

// Meanings of an abbreviation's full stop besides its own.
const (
	_            = iota
	never        // something always follows: a name, a number
	sometimes    // it ends a sentence where a capital letter follows
	beforeNumber // an abbreviation only before a number
)

var abbreviations = func() map[string]int {
	m := map[string]int{}
	for kind, words := range map[int]string{
		never: `mr mrs ms mx dr prof st mt fr rev hon gov sen rep gen col maj capt cmdr lt sgt cpl adm pres supt
			e.g eg i.e ie cf viz vs v resp approx ca incl excl esp bzw z.b d.h u.a vgl dipl ing mme mlle mm sra srta`,
		sometimes: `etc al inc ltd co corp llc bros jr sr esq dept univ assn est a.m p.m a.k.a ph.d b.a m.a u.s u.k u.n e.u d.c
			jan feb mar apr jun jul aug sept sep oct nov dec mon tue tues wed thu thurs fri ave blvd rd usw`,
		beforeNumber: `no nos nr fig figs eq eqs sec secs ch chap vol p pp pt art par para tab ref refs ed op`,
	} {
		for _, w := range strings.Fields(words) {
			m[w] = kind
		}
	}
	return m
}()
