// Package suggest finds the known name that is nearest to a mistyped one.
package suggest

// Nearest returns the index of the name that is fewest edits away from what was
// typed, the first of several, or -1 where none is near enough to be meant.
func Nearest(typed string, names []string) int {
	best, distance := -1, most(len(typed))+1
	for i, name := range names {
		if d := edits(typed, name); d < distance {
			best, distance = i, d
		}
	}
	return best
}

// most is how many edits a typing error may be: a short word is soon another one.
func most(length int) int {
	switch {
	case length <= 2:
		return 1
	case length <= 8:
		return 2
	}
	return length / 3
}

// edits counts letters that were added, left out or taken for another, and neighbours
// that changed places.
func edits(a, b string) int {
	before, row := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		next := make([]int, len(b)+1)
		next[0] = i + 1
		for j := range len(b) {
			cost := row[j]
			if a[i] != b[j] {
				cost = 1 + min(row[j], row[j+1], next[j])
			}
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				cost = min(cost, before[j-1]+1)
			}
			next[j+1] = cost
		}
		before, row = row, next
	}
	return row[len(b)]
}
