// Package suggest finds what somebody meant who mistyped a name.
package suggest

// Nearest returns the index of the name that is fewest edits away from what was
// typed, the first of several, or -1 where none is near enough to be meant.
func Nearest(typed string, names []string) int {
	best, distance := -1, 1+max(2, len(typed)/3)
	for i, name := range names {
		if d := edits(typed, name); d < distance {
			best, distance = i, d
		}
	}
	return best
}

// edits is the Levenshtein distance.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
